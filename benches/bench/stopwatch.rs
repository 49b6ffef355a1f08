//! The time, for measuring, for waiting, and for making sessions that are valid now.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokenkeeper_protocol::UnixSeconds;

/// Runs from its start.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "measuring time is what this program is for")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "no part of the daemon runs here that could hand in its clock")]
pub(crate) fn now() -> UnixSeconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixSeconds::default() + since
}

#[expect(clippy::disallowed_methods, reason = "another process is waited for that has nothing to tell when it is done")]
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}

pub(crate) fn microseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1e6
}
