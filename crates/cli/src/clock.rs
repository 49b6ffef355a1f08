//! The one source of time of the command line.

use std::time::{Duration, Instant, SystemTime};

use tokenkeeper_client::UnixSeconds;

/// The time of day, to compare with what the daemon says.
#[expect(clippy::disallowed_methods, reason = "this is where time enters")]
pub(crate) fn now() -> UnixSeconds {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixSeconds::default() + since_epoch
}

/// Lets `span` pass before something is asked again that cannot tell by itself when it has changed.
pub(crate) fn pause(span: Duration) {
    let deadline = Deadline::after(span);
    while let Some(left) = deadline.left() {
        std::thread::park_timeout(left);
    }
}

/// The end of a span that begins now.
pub(crate) struct Deadline(Instant);

impl Deadline {
    #[expect(clippy::disallowed_methods, reason = "this is where time enters")]
    pub(crate) fn after(span: Duration) -> Self {
        Self(Instant::now() + span)
    }

    /// What is left, or nothing if it is past.
    #[expect(clippy::disallowed_methods, reason = "this is where time enters")]
    pub(crate) fn left(&self) -> Option<Duration> {
        self.0.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}
