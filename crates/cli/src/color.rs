//! What colours mean. Whether there are any is decided where text is written: on terminals, unless `NO_COLOR`, `CLICOLOR=0` or
//! `--color` say otherwise.

use anstyle::{AnsiColor, Style};

/// As it should be.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Somebody should look at it.
pub(crate) const FAIR: Style = AnsiColor::Yellow.on_default();
/// It does not work.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
/// The head of a table.
pub(crate) const HEAD: Style = Style::new().bold();
/// Of little interest.
pub(crate) const FAINT: Style = Style::new().dimmed();
