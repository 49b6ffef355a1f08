//! Where time is read: the clocks of the system, or two hands that a test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokenkeeper_protocol::UnixSeconds;

/// What both clocks show at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// What the system takes for the time. Anybody may set it.
    pub(super) wall: UnixSeconds,
    /// Time since the machine was started, suspend included. Nobody sets it.
    pub(super) boot: Duration,
}

impl Reading {
    /// Whole seconds since the machine was started.
    pub(super) fn boot_seconds(&self) -> i64 {
        i64::try_from(self.boot.as_secs()).unwrap_or(i64::MAX)
    }
}

/// Clocks.
#[derive(Debug)]
pub(super) enum Source {
    System,
    Manual(Arc<Hands>),
}

/// The clocks of a test.
#[derive(Debug, Default)]
pub(super) struct Hands {
    /// In milliseconds.
    boot: AtomicI64,
    /// By how many seconds the wall clock is ahead of that.
    wall_ahead: AtomicI64,
}

impl Source {
    pub(super) fn manual(now: UnixSeconds) -> Self {
        Self::Manual(Arc::new(Hands { boot: now.0.saturating_mul(1000).into(), wall_ahead: 0.into() }))
    }

    /// Lets time go by. Does nothing to the clocks of the system.
    pub(super) fn advance(&self, span: Duration) {
        if let Self::Manual(hands) = self {
            hands.boot.fetch_add(span.as_millis().try_into().unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Sets the wall clock forward or back, and no time goes by.
    #[cfg(test)]
    pub(super) fn set_wall_by(&self, seconds: i64) {
        if let Self::Manual(hands) = self {
            hands.wall_ahead.fetch_add(seconds, Ordering::SeqCst);
        }
    }

    pub(super) fn boot(&self) -> Duration {
        match self {
            Self::System => read(ClockId::CLOCK_BOOTTIME),
            Self::Manual(hands) => Duration::from_millis(hands.boot.load(Ordering::SeqCst).try_into().unwrap_or(0)),
        }
    }

    pub(super) fn read(&self) -> Reading {
        let wall = match self {
            Self::System => read(ClockId::CLOCK_REALTIME).as_secs().try_into().unwrap_or(i64::MAX),
            Self::Manual(hands) => {
                hands.boot.load(Ordering::SeqCst).div_euclid(1000) + hands.wall_ahead.load(Ordering::SeqCst)
            }
        };
        Reading { wall: UnixSeconds(wall), boot: self.boot() }
    }
}

/// A clock that the kernel always has, so reading it does not fail.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map(Duration::from).unwrap_or_default()
}
