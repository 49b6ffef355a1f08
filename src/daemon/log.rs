//! The daemon's own log: lines on standard error, for a terminal or for the journal.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, fmt};
use tracing_subscriber::registry::LookupSpan;

/// What is logged unless `$TOKENKEEPER_LOG` says otherwise. The scheduler tells of every job at `info`.
const DEFAULT: &str = "info,tokio_cron_scheduler=warn";

/// Logs to standard error from now on. The journal has a time of its own, and takes the priority from the line.
pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("TOKENKEEPER_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let lines = fmt().with_writer(std::io::stderr).with_env_filter(filter).with_target(false).with_ansi(false);
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        lines.event_format(JournalLine).init();
    } else {
        lines.init();
    }
}

/// `<PRIORITY>message fields`, as in sd-daemon(3).
struct JournalLine;

impl<S, N> FormatEvent<S, N> for JournalLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(line, "<{}>", priority(*event.metadata().level()))?;
        context.format_fields(line.by_ref(), event)?;
        writeln!(line)
    }
}

/// The priority of syslog (RFC 5424 section 6.2.1).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}
