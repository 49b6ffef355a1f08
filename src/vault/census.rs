//! Sessions by state, without going through all of them whenever somebody asks.
//!
//! Invariant: what is known is exact. It is found out by whoever asks first, follows every change that is written, and is
//! forgotten when it is not sure whether one was: then whoever asks next goes through the index again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{StateCounts, VaultError};
use crate::domain::Session;

/// From one state to another, as the index of states numbers them; from none or to none.
pub(super) type Move = (Option<u8>, Option<u8>);

/// What is known.
#[derive(Default)]
pub(super) struct Census(Mutex<Known>);

#[derive(Default)]
struct Known {
    counts: Option<StateCounts>,
    /// Changes that are on their way to the disk. One whose caller went away stays: nobody knows when it arrives.
    under_way: usize,
    /// Changes that ever were.
    begun: u64,
}

/// A change that is on its way to the disk.
#[must_use = "a change of which nobody says what became of it is under way for ever"]
pub(super) struct UnderWay<'a>(&'a Census);

impl Census {
    /// A change begins that moves sessions from state to state.
    pub(super) fn begin(&self) -> UnderWay<'_> {
        let mut known = self.known();
        known.under_way += 1;
        known.begun += 1;
        UnderWay(self)
    }

    /// What is known, or what `count` finds. That is remembered if nothing was on its way meanwhile.
    pub(super) fn counts(
        &self,
        count: impl FnOnce() -> Result<StateCounts, VaultError>,
    ) -> Result<StateCounts, VaultError> {
        let begun = {
            let known = self.known();
            if let Some(counts) = known.counts {
                return Ok(counts);
            }
            (known.under_way == 0).then_some(known.begun)
        };
        let counts = count()?;
        let mut known = self.known();
        if begun == Some(known.begun) {
            known.counts = Some(counts);
        }
        Ok(counts)
    }

    /// Nothing is known any more.
    pub(super) fn forget(&self) {
        self.known().counts = None;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay<'_> {
    /// It is on the disk.
    pub(super) fn written(self, moves: &[Move]) {
        let mut known = self.0.known();
        known.under_way -= 1;
        if let Some(counts) = &mut known.counts {
            for (from, to) in moves {
                from.map(|state| *counts.of(state) = counts.of(state).saturating_sub(1));
                to.map(|state| *counts.of(state) += 1);
            }
        }
    }

    /// It is not on the disk, or nobody knows.
    pub(super) fn failed(self) {
        let mut known = self.0.known();
        known.under_way -= 1;
        known.counts = None;
    }
}

impl StateCounts {
    fn of(&mut self, state: u8) -> &mut u64 {
        match state {
            0 => &mut self.active,
            1 => &mut self.need_login,
            _ => &mut self.ended,
        }
    }
}

/// What a change does to the counts; nothing, if the state stays.
pub(super) fn move_of(from: Option<&Session>, to: Option<&Session>) -> Option<Move> {
    let (from, to) = (from.map(super::index::state_byte), to.map(super::index::state_byte));
    (from != to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(active: u64) -> StateCounts {
        StateCounts { active, ..StateCounts::default() }
    }

    fn known(census: &Census) -> Option<u64> {
        census.known().counts.map(|counts| counts.active)
    }

    #[test]
    fn what_was_counted_while_a_change_was_on_its_way_is_not_believed_twice() {
        let census = Census::default();
        let change = census.begin();
        assert_eq!(census.counts(|| Ok(counted(1))).unwrap().active, 1);
        assert_eq!(known(&census), None, "one is under way from before");
        change.written(&[(None, Some(0))]);
        let counts = census.counts(|| {
            census.begin().written(&[(None, Some(0))]);
            Ok(counted(2))
        });
        assert_eq!((counts.unwrap().active, known(&census)), (2, None), "one came and went");
        assert_eq!((census.counts(|| Ok(counted(3))).unwrap().active, known(&census)), (3, Some(3)));
    }

    #[test]
    fn what_is_known_follows_what_is_written_and_is_forgotten_when_a_write_fails() {
        let census = Census::default();
        census.counts(|| Ok(counted(3))).unwrap();
        census.begin().written(&[(Some(0), Some(2)), (Some(0), None)]);
        let counts = census.counts(|| panic!("they are known")).unwrap();
        assert_eq!(counts, StateCounts { active: 1, need_login: 0, ended: 1 });
        census.begin().failed();
        assert_eq!(known(&census), None);
    }

    #[test]
    fn a_change_that_nobody_waited_for_is_under_way_for_ever() {
        let census = Census::default();
        drop(census.begin());
        census.counts(|| Ok(counted(3))).unwrap();
        assert_eq!(known(&census), None);
    }
}
