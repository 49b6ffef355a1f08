//! The circuit breaker: a provider that fails again and again is left alone, but for one try now and then.
//!
//! Closed until [`FAULTS`] failures in a row over at least [`SPAN`]; then open. While it is open one try leaves at each step of an
//! exponential backoff with full jitter; a success closes it. Boot time and randomness come in as parameters.

use std::time::Duration;

/// So many failures in a row, of whichever sessions, are no accident.
pub(super) const FAULTS: u32 = 5;
/// Nor are they, unless they come in one blink: a restart of the provider fails all that is on its way at once.
pub(super) const SPAN: Duration = Duration::from_secs(2);
/// The ceiling of the first wait; it doubles with each try that fails.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// The shortest one, so that a jitter of nothing does not hammer.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Its state. Times are boot time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Breaker {
    /// All is well.
    #[default]
    Closed,
    /// The last `faults` requests failed, the first of them at `since`.
    Failing { faults: u32, since: Duration },
    /// Nothing leaves before `next_try`; then one request. `tries` of those failed.
    Open { next_try: Duration, tries: u32, why: String },
    /// That request is on its way.
    Trying { tries: u32, why: String },
}

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::Trying { .. })
    }

    /// The next request is the try: nothing else leaves until it is back.
    pub(super) fn begin_try(&mut self) {
        if let Self::Open { tries, why, .. } = self {
            *self = Self::Trying { tries: *tries, why: std::mem::take(why) };
        }
    }

    /// The try did not take place after all.
    pub(super) fn give_try_back(&mut self, now: Duration) {
        if let Self::Trying { tries, why } = self {
            *self = Self::Open { next_try: now, tries: *tries, why: std::mem::take(why) };
        }
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::Closed;
    }

    /// A request failed; `was_try` if it was the one that an open breaker let out. `random` is in 0.0..=1.0.
    pub(super) fn failed(&mut self, why: &str, was_try: bool, now: Duration, random: f64) {
        *self = match std::mem::take(self) {
            Self::Closed => Self::Failing { faults: 1, since: now },
            Self::Failing { faults, since } if faults + 1 >= FAULTS && now.saturating_sub(since) >= SPAN => {
                Self::Open { next_try: now + wait(0, random), tries: 0, why: why.to_owned() }
            }
            Self::Failing { faults, since } => Self::Failing { faults: faults.saturating_add(1), since },
            Self::Trying { tries, .. } if was_try => {
                let tries = tries.saturating_add(1);
                Self::Open { next_try: now + wait(tries, random), tries, why: why.to_owned() }
            }
            // One of those that were on their way when it opened: it says nothing new.
            open => open,
        };
    }
}

/// Full jitter: anything up to the ceiling, so that those who failed together do not come back together.
fn wait(tries: u32, random: f64) -> Duration {
    let ceiling = FIRST_WAIT.saturating_mul(1_u32.checked_shl(tries).unwrap_or(u32::MAX)).min(LONGEST_WAIT);
    ceiling.mul_f64(random.clamp(0.0, 1.0)).max(SHORTEST_WAIT)
}
