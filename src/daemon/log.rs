//! The daemon's own log: lines on standard error, for a terminal or for the journal. And what its commands say.
//!
//! Invariant: what cannot be written is dropped. A terminal that was closed, a disk that is full, a reader that is gone stop nothing:
//! no print macro is used, which would panic.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

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
    let lines = fmt().with_writer(|| Lines).with_env_filter(filter).with_target(false).with_ansi(false);
    // It would complain of a line on standard error, and panic where that takes none.
    let lines = lines.log_internal_errors(false);
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        lines.event_format(JournalLine).init();
    } else {
        lines.init();
    }
}

/// Says what was done to whoever ran a command.
pub(super) fn say(words: impl Display) {
    // If even this cannot be printed, there is nobody to tell.
    let _ = writeln!(io::stdout(), "{words}");
}

/// Says what went wrong to whoever ran a command.
pub(super) fn complain(words: impl Display) {
    let _ = writeln!(io::stderr(), "{words}");
}

/// Lines on standard error. Those that it does not take are counted, and that is told before the next that it takes.
struct Lines;

/// Lines that were dropped since the last that was not.
static DROPPED: AtomicU64 = AtomicU64::new(0);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut log = io::stderr().lock();
        let dropped = DROPPED.load(Ordering::Relaxed);
        let told = match dropped {
            0 => Ok(()),
            // Behind what may be half a line.
            _ => writeln!(log, "\n{dropped} lines before this one could not be logged"),
        };
        if told.and_then(|()| log.write_all(line)).is_ok() {
            DROPPED.fetch_sub(dropped, Ordering::Relaxed);
        } else {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
