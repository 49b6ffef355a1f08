//! How long a test waits for an event before it says that the event never came.

use std::time::{Duration, Instant};

/// Far longer than anything takes on a busy machine; a test that reaches it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A point in time to wait until.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// [`PATIENCE`] from now.
    pub(crate) fn patient() -> Self {
        Self::after(PATIENCE)
    }

    pub(crate) fn after(span: Duration) -> Self {
        Self(now() + span)
    }

    /// What is left; nothing once it has passed.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.checked_duration_since(now()).filter(|left| !left.is_zero())
    }
}

/// Measures something for the reader of a test's output, or for the pace of a load.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        now().duration_since(self.0)
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests wait in real time for real processes")]
fn now() -> Instant {
    Instant::now()
}

/// The wall clock, to compare with what programs print.
#[expect(clippy::disallowed_methods, reason = "the tests watch real processes by the real clock")]
pub(crate) fn unix_seconds() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(now.as_secs()).expect("seconds fit into an i64")
}
