//! The one source of time. Everything else takes time as a parameter or holds a [`Clock`].
//!
//! What is stored or compared with providers is wall time, as far as it can be trusted: a jump is not followed before it is
//! confirmed. What is waited for is boot time, which counts suspend and which nobody sets.

mod boot_timer;
mod mark;
mod reckoning;
mod source;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokenkeeper_protocol::UnixSeconds;
use tokio::sync::watch;

use self::reckoning::Reckoning;
use self::source::Source;

pub use boot_timer::BootTimer;
pub use mark::Mark;
pub use reckoning::{Doubt, Told, Turn, Witness};

/// Tells the time. Cheap to clone; all clones tell the same.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    source: Source,
    reckoning: ArcSwap<Reckoning>,
    /// What happened and was not told yet. Whoever changes the reckoning holds it.
    untold: Mutex<Vec<Turn>>,
    turns: watch::Sender<()>,
}

impl Clock {
    /// The clocks of the system.
    pub fn system() -> Self {
        Self::from(Source::System)
    }

    /// A clock that stands still until it is told otherwise, for tests.
    pub fn manual(now: UnixSeconds) -> Self {
        Self::from(Source::manual(now))
    }

    /// Lets time go by on a manual clock. Does nothing to the clocks of the system.
    pub fn advance(&self, span: Duration) {
        self.0.source.advance(span);
    }

    /// Sets the wall clock of a manual clock by so many seconds.
    #[cfg(test)]
    pub(crate) fn set_wall_by(&self, seconds: i64) {
        self.0.source.set_wall_by(seconds);
    }

    /// Wall time, without the jumps that are not confirmed.
    pub fn now(&self) -> UnixSeconds {
        self.0.reckoning.load().now(self.0.source.read())
    }

    /// The time to judge by whether something has expired that was obtained at `obtained_at`, in `era`: later than
    /// [`Clock::now`] if it may be, and never earlier.
    pub fn now_for(&self, obtained_at: UnixSeconds, era: u32) -> UnixSeconds {
        let reading = self.0.source.read();
        let mut reckoning = self.0.reckoning.load();
        if reckoning.is_surprised(reading) {
            self.look(&[]);
            reckoning = self.0.reckoning.load();
        }
        reckoning.now_for(obtained_at, era, reading)
    }

    /// Goes with every time that is stored to be judged by [`Clock::now_for`].
    pub fn era(&self) -> u32 {
        self.0.reckoning.load().era
    }

    /// Time since the machine was started, suspend included.
    pub fn boot(&self) -> Duration {
        self.0.source.boot()
    }

    /// The jump that is not confirmed.
    pub fn doubt(&self) -> Option<Doubt> {
        self.0.reckoning.load().doubt
    }

    /// Takes up what the last run knew. Call it before the time is used.
    pub fn resume(&self, mark: &Mark) {
        let reading = self.0.source.read();
        let is_same_boot = !mark.boot_id.is_empty() && mark.boot_id == mark::boot_id();
        let _untold = self.0.untold.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reckoning = Reckoning::clone(&self.0.reckoning.load());
        reckoning.resume(mark, is_same_boot, reading);
        self.0.reckoning.store(Arc::new(reckoning));
    }

    /// What the next run has to know.
    pub fn mark(&self) -> Mark {
        let reading = self.0.source.read();
        let reckoning = self.0.reckoning.load();
        let now = reckoning.now(reading);
        Mark { now, boot_id: mark::boot_id(), boot: reading.boot_seconds(), era: reckoning.era }
    }

    /// Compares the clocks, in the light of what providers say of theirs.
    pub fn look(&self, witnesses: &[Witness]) {
        let mut untold = self.0.untold.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reckoning = Reckoning::clone(&self.0.reckoning.load());
        let turn = reckoning.look(self.0.source.read(), witnesses);
        self.0.reckoning.store(Arc::new(reckoning));
        if let Some(turn) = turn {
            untold.push(turn);
            self.0.turns.send_replace(());
        }
    }

    /// What happened to the clock and was not told yet. It is told once.
    pub fn take_turns(&self) -> Vec<Turn> {
        std::mem::take(&mut *self.0.untold.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes whenever something happens to the clock.
    pub fn turns(&self) -> watch::Receiver<()> {
        self.0.turns.subscribe()
    }
}

impl From<Source> for Clock {
    fn from(source: Source) -> Self {
        let reckoning = ArcSwap::from_pointee(Reckoning::from(source.read()));
        Self(Arc::new(Inner { source, reckoning, untold: Mutex::default(), turns: watch::Sender::new(()) }))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.0.reckoning.load()).finish()
    }
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

    #[test]
    fn a_jump_is_noticed_by_whoever_judges_a_token_and_told_once() {
        let clock = Clock::manual(UnixSeconds(1_000_000));
        let mut turns = clock.turns();
        clock.set_wall_by(86_400);
        assert_eq!(clock.now(), UnixSeconds(1_000_000));
        assert_eq!(clock.now_for(UnixSeconds(999_999), 0), UnixSeconds(1_086_400));
        assert!(turns.has_changed().unwrap());
        turns.mark_unchanged();
        assert_eq!(clock.take_turns(), [Turn::Jumped(86_400)]);
        clock.look(&[]);
        assert_eq!((clock.take_turns(), turns.has_changed().unwrap()), (vec![], false));
    }
}
