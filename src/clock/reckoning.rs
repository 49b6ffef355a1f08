//! What time it is when the wall clock cannot be trusted. Pure: readings go in, a reckoning comes out.
//!
//! The reckoning follows the wall clock for as long as that goes along with boot time. When it jumps, the reckoning does not:
//! it goes on by boot time until somebody confirms the jump. So nothing that is judged by it ends, and nothing becomes due,
//! because somebody set a clock; and nothing that was stored meanwhile is wrong when the clock is set back.

use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;

use super::Mark;
use super::source::Reading;

/// A wall clock that differs by more from what boot time makes of it has jumped. Smaller steps are followed, those back if they do
/// not add up.
const JUMP: i64 = 60;
/// A wall clock that went along with boot time for so long is believed, if nobody contradicts. Small steps back add up for as
/// long.
const STABLE: Duration = Duration::from_mins(10);
/// How far a provider's clock may be off what it confirms: its own error, and the time that its answer took.
const AGREEMENT: i64 = 300;
/// A machine that was off for longer than this is not believed at once: a clock that lost its battery shows years.
const LONGEST_OFF: i64 = 365 * 86_400;

/// The time as it is reckoned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reckoning {
    /// What is added to boot time.
    offset: i64,
    /// Boot time when that was what the wall clock said.
    compared_at: Duration,
    /// How often it was set back: times of before that are not to be compared with those of now.
    pub(super) era: u32,
    /// The jump that is not confirmed.
    pub(super) doubt: Option<Doubt>,
}

/// A jump of the wall clock that nobody has confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// How many seconds the wall clock is ahead of what is reckoned; behind, if negative.
    pub by: i64,
    /// When it was noticed.
    pub since: UnixSeconds,
    /// Whether a provider's clock agrees with the time before the jump.
    pub contradicted: bool,
    /// Boot time when the wall clock began to go along with it again.
    stable_since: Duration,
}

/// Something happened to the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The wall clock jumped by so many seconds.
    Jumped(i64),
    /// It is back where it was.
    Returned,
    /// A provider's clock agrees with a jump by so many seconds.
    Agreed(i64),
    /// The wall clock was steady for ten minutes after a jump by so many seconds.
    Settled(i64),
}

/// What a provider told of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// When it was asked, as it was reckoned.
    pub asked_at: UnixSeconds,
    /// What it told.
    pub told: Told,
}

/// How a provider tells of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// What time it was there.
    Date(UnixSeconds),
    /// Its certificate, which is good as the time is reckoned, is not by the wall clock. So it cannot be heard; but it is as likely
    /// that the clock is wrong.
    Certificate,
}

impl Reckoning {
    /// Believes the wall clock, for want of anything to compare it with.
    pub(super) fn from(reading: Reading) -> Self {
        let offset = reading.wall.0.saturating_sub(reading.boot_seconds());
        Self { offset, compared_at: reading.boot, era: 0, doubt: None }
    }

    /// Compares the wall clock with what the last run knew.
    pub(super) fn resume(&mut self, mark: &Mark, is_same_boot: bool, reading: Reading) {
        self.era = mark.era;
        let passed = reading.boot_seconds().saturating_sub(mark.boot);
        let expected = if is_same_boot && passed >= 0 {
            UnixSeconds(mark.now.0.saturating_add(passed))
        } else {
            let off = reading.wall.0.saturating_sub(mark.now.0);
            if (-JUMP..LONGEST_OFF).contains(&off) { reading.wall } else { mark.now }
        };
        self.offset = expected.0.saturating_sub(reading.boot_seconds());
        self.compared_at = reading.boot;
    }

    /// The time.
    pub(super) fn now(&self, reading: Reading) -> UnixSeconds {
        let (reckoned, by) = self.compare(reading);
        if self.doubt.is_none() && !is_jump(by) { reading.wall } else { reckoned }
    }

    /// The time to judge by whether something has expired that was obtained at `obtained_at` of `era`. Since a jump, boot time
    /// counts; over a jump forward, the later of both: a machine that was halted has no boot time of that.
    pub(super) fn now_for(&self, obtained_at: UnixSeconds, era: u32, reading: Reading) -> UnixSeconds {
        let now = self.now(reading);
        match self.doubt {
            _ if era != self.era => UnixSeconds::NEVER,
            Some(doubt) if obtained_at < doubt.since => now.max(reading.wall),
            _ => now,
        }
    }

    /// Whether the wall clock does what was not noticed yet.
    pub(super) fn is_surprised(&self, reading: Reading) -> bool {
        let (_, by) = self.compare(reading);
        match self.doubt {
            None => is_jump(by),
            Some(doubt) => !is_jump(by) || is_jump(by.saturating_sub(doubt.by)),
        }
    }

    /// Looks at the clocks, and at what providers said.
    pub(super) fn look(&mut self, reading: Reading, witnesses: &[Witness]) -> Option<Turn> {
        let (_, by) = self.compare(reading);
        let Some(doubt) = self.doubt else {
            if is_jump(by) {
                return Some(self.begin_doubt(by, reading));
            }
            // Back, a token would be served for longer each time.
            if by >= 0 || reading.boot.saturating_sub(self.compared_at) >= STABLE {
                (self.offset, self.compared_at) = (self.offset + by, reading.boot);
            }
            return None;
        };
        if !is_jump(by) {
            self.doubt = None;
            (self.offset, self.compared_at) = (self.offset + by, reading.boot);
            return Some(Turn::Returned);
        }
        if is_jump(by.saturating_sub(doubt.by)) {
            return Some(self.begin_doubt(by, reading));
        }
        let heard =
            || witnesses.iter().filter(|witness| witness.asked_at >= doubt.since).map(|witness| witness.says(by));
        let contradicted = heard().any(|says| says == Some(false));
        let is_unheard = witnesses.iter().any(|it| it.asked_at >= doubt.since && it.told == Told::Certificate);
        let turn = if contradicted {
            None
        } else if heard().any(|says| says == Some(true)) {
            Some(Turn::Agreed(doubt.by))
        } else {
            let is_steady = reading.boot.saturating_sub(doubt.stable_since) >= STABLE;
            (is_steady && !is_unheard).then_some(Turn::Settled(doubt.by))
        };
        if turn.is_some() {
            (self.offset, self.compared_at) = (self.offset.saturating_add(by), reading.boot);
            self.era = self.era.saturating_add(u32::from(by < 0));
            self.doubt = None;
        } else {
            self.doubt = Some(Doubt { contradicted, ..doubt });
        }
        turn
    }

    /// From here on the wall clock is not followed. A second is skipped, so that whatever was obtained before has an earlier time
    /// than whatever is obtained from now on; and one for what it is ahead where its seconds begin before those of boot time.
    fn begin_doubt(&mut self, by: i64, reading: Reading) -> Turn {
        self.offset = self.offset.saturating_add(2);
        let (since, _) = self.compare(reading);
        self.doubt = Some(Doubt { by, since, contradicted: false, stable_since: reading.boot });
        Turn::Jumped(by)
    }

    /// The time by boot time alone, and how far the wall clock is ahead of that.
    fn compare(&self, reading: Reading) -> (UnixSeconds, i64) {
        let reckoned = reading.boot_seconds().saturating_add(self.offset);
        (UnixSeconds(reckoned), reading.wall.0.saturating_sub(reckoned))
    }
}

impl Witness {
    /// Whether it agrees with a jump `by` so many seconds, or with there being none. Nothing, if with neither.
    fn says(self, by: i64) -> Option<bool> {
        let Told::Date(date) = self.told else { return None };
        let ahead = date.0.saturating_sub(self.asked_at.0);
        let (to_jump, to_none) = (ahead.saturating_sub(by).saturating_abs(), ahead.saturating_abs());
        (to_jump.min(to_none) <= AGREEMENT).then_some(to_jump < to_none)
    }
}

fn is_jump(by: i64) -> bool {
    by.saturating_abs() > JUMP
}

#[cfg(test)]
mod tests;
