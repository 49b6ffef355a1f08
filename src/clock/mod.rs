//! The one source of time. Everything else takes time as a parameter or holds a [`Clock`].
//!
//! Wall time is for what is stored or compared with providers; boot time, which counts suspend, is for waiting.

mod boot_timer;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokenkeeper_protocol::UnixSeconds;

pub use boot_timer::BootTimer;

/// Tells the time. Cheap to clone; all clones of a manual clock show the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    manual: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The clocks of the system.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands still until it is told otherwise, for tests.
    pub fn manual(now: UnixSeconds) -> Self {
        Self { manual: Some(Arc::new(AtomicI64::new(now.0))) }
    }

    /// Moves a manual clock. Does nothing to the clocks of the system.
    pub fn advance(&self, span: Duration) {
        if let Some(now) = &self.manual {
            now.fetch_add(i64::try_from(span.as_secs()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Wall time.
    pub fn now(&self) -> UnixSeconds {
        match &self.manual {
            Some(now) => UnixSeconds(now.load(Ordering::SeqCst)),
            None => UnixSeconds(read(ClockId::CLOCK_REALTIME).as_secs().try_into().unwrap_or(i64::MAX)),
        }
    }

    /// Time since the machine was started, suspend included.
    pub fn boot(&self) -> Duration {
        match &self.manual {
            Some(now) => Duration::from_secs(now.load(Ordering::SeqCst).try_into().unwrap_or(0)),
            None => read(ClockId::CLOCK_BOOTTIME),
        }
    }
}

/// A clock that the kernel always has, so reading it does not fail.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map(Duration::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_is_past_the_day_it_was_written() {
        assert!(Clock::system().now() > UnixSeconds(1_750_000_000));
        assert!(Clock::system().boot() > Duration::ZERO);
    }

    #[test]
    fn clones_of_a_manual_clock_move_together() {
        let clock = Clock::manual(UnixSeconds(100));
        let other = clock.clone();
        clock.advance(Duration::from_secs(5));
        assert_eq!(other.now(), UnixSeconds(105));
    }
}
