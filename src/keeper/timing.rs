//! When a session wants attention. Pure arithmetic on times.

use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;

use crate::config::{ProviderSettings, RefreshMode};
use crate::domain::{Session, Tokens};

/// Tokens that live less are refreshed at half their life, without jitter: there is no time to be spread.
const SHORT_LIFE: Duration = Duration::from_mins(1);
/// A fresh token is left alone for as long: times are whole seconds, and one that lives a second is not fetched in a loop.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// Refreshes keep this far from the expiry, or 5% of the life if that is more.
const MARGIN: Duration = Duration::from_secs(30);
/// A session that nobody asked for in this time is only kept alive, if its mode is to refresh what is used.
const IN_USE: Duration = Duration::from_hours(24);
/// How long a refresh token lives that nobody uses, where neither provider nor configuration say: the least that is common
/// (Okta; Google, for applications in testing).
const IDLE_LIFE: Duration = Duration::from_hours(7 * 24);
/// The wait after the first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two tries.
pub(super) const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// How long a token should still be valid for a caller that did not say: a minute, or a fifth of the life if that is less.
pub(super) fn default_min_valid(life: Duration) -> Duration {
    Duration::from_mins(1).min(life / 5)
}

/// How long after it was obtained a token of this `life` is refreshed. `jitter` is in -1.0..=1.0.
fn refresh_after(life: Duration, percent: u8, jitter: f64) -> Duration {
    if life < SHORT_LIFE {
        return life / 2;
    }
    let aim = life.mul_f64((f64::from(percent) / 100.0 + 0.05 * jitter).clamp(0.05, 0.95));
    aim.min(life.saturating_sub(MARGIN.max(life / 20)))
}

/// When a session with fresh tokens is due: for its refresh, or at its expiry if there is no way to get others.
pub(super) fn refresh_due(session: &Session, settings: &ProviderSettings, jitter: f64) -> Option<UnixSeconds> {
    let tokens = session.tokens.as_ref()?;
    let (access, life) = (&tokens.access, tokens.access.life());
    if !session.is_renewable() {
        return Some(access.expires_at.min(session.ends_at));
    }
    let keep_alive = idle_life(tokens, settings).map_or(Duration::MAX, keep_alive_after);
    let after = refresh_after(life, settings.refresh_at_percent, jitter).min(keep_alive).max(SHORTEST_WAIT);
    Some((access.obtained_at + after).min(session.ends_at))
}

/// How long a refresh token lives that nobody uses, if that is known.
fn idle_life(tokens: &Tokens, settings: &ProviderSettings) -> Option<Duration> {
    settings.refresh_token_idle.or(tokens.refresh_life)
}

/// How long after it was obtained a refresh token is used for the only reason that it would otherwise die of idleness: early
/// enough for a provider, or a machine, that is down for a while.
fn keep_alive_after(idle: Duration) -> Duration {
    idle.mul_f64(0.7)
}

/// When a session is put off to that is due at `now` though nobody uses it. Nothing, if it is to be refreshed now.
pub(super) fn put_off(session: &Session, settings: &ProviderSettings, now: UnixSeconds) -> Option<UnixSeconds> {
    let tokens = session.tokens.as_ref()?;
    let access = &tokens.access;
    let by_life = if access.life() < Duration::from_hours(1) { RefreshMode::WhenUsed } else { RefreshMode::Always };
    let unused = now.since(session.last_used_at) > IN_USE;
    let idle = idle_life(tokens, settings).unwrap_or(IDLE_LIFE);
    let keep_alive = (access.obtained_at + keep_alive_after(idle)).min(session.ends_at);
    // It was put off before: this is its keep-alive, whatever is known by now of how long that can wait.
    let latest = access.obtained_at + refresh_after(access.life(), settings.refresh_at_percent, 1.0).max(SHORTEST_WAIT);
    let was_put_off = session.due_at.is_some_and(|due_at| due_at > latest);
    let off = settings.refresh.unwrap_or(by_life) == RefreshMode::WhenUsed && unused && keep_alive > now;
    (off && !was_put_off).then_some(keep_alive)
}

/// How long to wait after `tries` failures in a row. `random` is in 0.0..=1.0 and spreads those who failed together: full jitter.
pub(super) fn backoff(tries: u32, random: f64) -> Duration {
    let ceiling =
        FIRST_WAIT.saturating_mul(1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX)).min(LONGEST_WAIT);
    ceiling.mul_f64(random).max(FIRST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lives_are_refreshed_at_half_and_others_at_seventy_per_cent() {
        assert_eq!(refresh_after(Duration::from_secs(10), 70, 1.0), Duration::from_secs(5));
        assert_eq!(refresh_after(Duration::from_secs(1000), 70, 0.0), Duration::from_secs(700));
        assert_eq!(refresh_after(Duration::from_secs(1000), 70, 1.0), Duration::from_secs(750));
        assert_eq!(refresh_after(Duration::from_secs(1000), 70, -1.0), Duration::from_secs(650));
    }

    #[test]
    fn a_refresh_keeps_its_distance_from_the_expiry() {
        assert_eq!(refresh_after(Duration::from_secs(60), 70, 1.0), Duration::from_secs(30));
        assert_eq!(refresh_after(Duration::from_hours(24), 99, 1.0), Duration::from_hours(24) / 20 * 19);
    }

    #[test]
    fn a_caller_that_does_not_say_gets_a_minute_or_a_fifth_of_the_life() {
        assert_eq!(default_min_valid(Duration::from_hours(1)), Duration::from_secs(60));
        assert_eq!(default_min_valid(Duration::from_secs(10)), Duration::from_secs(2));
    }

    #[test]
    fn the_wait_between_tries_doubles_up_to_five_minutes() {
        assert_eq!(backoff(1, 1.0), Duration::from_secs(1));
        assert_eq!(backoff(4, 1.0), Duration::from_secs(8));
        assert_eq!(backoff(4, 0.5), Duration::from_secs(4));
        assert_eq!(backoff(4, 0.0), Duration::from_secs(1), "nobody comes back at once");
        assert_eq!(backoff(1000, 1.0), Duration::from_secs(300));
    }
}
