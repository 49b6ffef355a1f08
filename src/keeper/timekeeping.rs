//! What a jump of the clock means here: it is told everywhere, providers are asked what time it is, and the next run will know.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokenkeeper_protocol::UnixSeconds;
use tokenkeeper_protocol::json::rfc3339;

use super::{Keeper, KeeperError};
use crate::audit::What;
use crate::clock::{Doubt, Turn, Witness};
use crate::provider::{Provider, Turn as GateTurn};
use crate::vault::VaultError;

/// How often the time is written down for the next run.
const MARK_EVERY: Duration = Duration::from_mins(5);
/// A mark that is off by more seconds than a clock drifts in [`MARK_EVERY`] is of before a jump.
const DRIFT: i64 = 5;
/// Providers that are asked what time it is after a jump. One that answers is enough.
const ASKED: usize = 3;
/// How long all of that may take. The clock is not looked at meanwhile, and others may wait for the same providers.
const PATIENCE: Duration = Duration::from_secs(30);

impl Keeper {
    /// Takes up the time where the last run left it. Call it before anything is served.
    pub fn resume_clock(&self) -> Result<(), KeeperError> {
        match self.vault.clock_mark() {
            Ok(mark) => mark.iter().for_each(|mark| self.clock.resume(mark)),
            Err(error @ VaultError::Store(_)) => return Err(error.into()),
            // Without it a jump while the daemon was down goes unnoticed, which is no reason to serve nobody.
            Err(error) => tracing::error!(%error, "the time of the last run is not known"),
        }
        Ok(())
    }

    /// Compares the clocks, and does what follows. What cannot be written is tried again at the next look.
    pub async fn look_at_clock(self: &Arc<Self>) {
        self.clock.look(&self.witnesses());
        let turns = self.clock.take_turns();
        for turn in &turns {
            self.tell_turn(*turn).await;
        }
        if let Err(error) = self.write_mark().await {
            tracing::warn!(%error, "the time cannot be written down for the next start");
        }
        self.call_up_who_is_left();
        if turns.iter().any(|turn| matches!(turn, Turn::Jumped(_))) {
            self.ask_what_time_it_is().await;
            if self.witnesses().iter().any(|witness| self.clock.doubt().is_some_and(|it| witness.asked_at >= it.since))
            {
                Box::pin(self.look_at_clock()).await;
            }
        }
    }

    /// What providers said of the time, over TLS.
    fn witnesses(&self) -> Vec<Witness> {
        self.providers.load().values().filter_map(|provider| provider.time_there()).collect()
    }

    async fn ask_what_time_it_is(&self) {
        let providers = self.providers();
        let may_be_asked =
            |provider: &&Arc<Provider>| provider.can_tell_time() && provider.gate().closed(&self.clock).is_none();
        let asked = providers.values().filter(may_be_asked).take(ASKED);
        let answers = join_all(asked.map(async |provider| {
            if let Ok(_pass) = self.pass(provider, GateTurn::of_caller(UnixSeconds::NEVER)).await {
                provider.ask_time(self.clock.now()).await;
            }
        }));
        drop(tokio::time::timeout(PATIENCE, answers).await);
    }

    async fn tell_turn(&self, turn: Turn) {
        let words = turn.words();
        if let Turn::Jumped(_) = turn {
            tracing::warn!("{words}");
        } else {
            tracing::info!("{words}");
        }
        let mut change = self.vault.change(self.clock.now());
        let event = What::ClockJumped { by_seconds: turn.by(), state: turn.name().to_owned() };
        let told = match change.audit(event) {
            Ok(_) => change.commit().await,
            Err(error) => Err(error),
        };
        if let Err(error) = told {
            tracing::error!(%error, "a jump of the clock cannot be put on the audit trail");
        }
        // Whatever waits for a time may be due sooner.
        self.agenda.notify_one();
    }

    /// Writes the time down, if what is written is old, or wrong by now.
    async fn write_mark(&self) -> Result<(), VaultError> {
        let mark = self.clock.mark();
        // One that is damaged is replaced.
        let is_good = self.vault.clock_mark().unwrap_or_default().is_some_and(|known| {
            let passed = mark.boot.saturating_sub(known.boot);
            let off = mark.now.0.saturating_sub(known.now.0).saturating_sub(passed);
            (&known.boot_id, known.era) == (&mark.boot_id, mark.era)
                && (0..MARK_EVERY.as_secs().cast_signed()).contains(&passed)
                && off.saturating_abs() <= DRIFT
        });
        if is_good { Ok(()) } else { self.vault.keep_clock_mark(&mark).await }
    }
}

impl Turn {
    fn by(self) -> i64 {
        match self {
            Self::Jumped(by) | Self::Agreed(by) | Self::Settled(by) => by,
            Self::Returned => 0,
        }
    }

    /// `state` in the audit trail.
    fn name(self) -> &'static str {
        match self {
            Self::Jumped(_) => "unconfirmed",
            Self::Returned => "taken_back",
            Self::Agreed(_) => "confirmed_by_provider",
            Self::Settled(_) => "confirmed_by_stability",
        }
    }

    fn words(self) -> String {
        match self {
            Self::Jumped(by) => format!(
                "the clock jumped by {}; the daemon goes on by its own reckoning, and ends nothing for the jump, until it is confirmed",
                span(by)
            ),
            Self::Returned => "the clock is back where it was before it jumped".to_owned(),
            Self::Agreed(by) => {
                format!("a provider's clock agrees with the jump by {}, which is followed now", span(by))
            }
            Self::Settled(by) => format!("the clock was steady since it jumped by {}, which is followed now", span(by)),
        }
    }
}

/// What people should know of a jump that is not confirmed.
pub fn clock_complaint(doubt: &Doubt) -> String {
    let (by, since) = (span(doubt.by), rfc3339(doubt.since));
    if doubt.contradicted {
        return format!(
            "the clock jumped by {by} at {since}, and a provider's clock does not agree: set the clock right (timedatectl); nothing is ended until then"
        );
    }
    format!(
        "the clock jumped by {by} at {since}; nothing is ended until a provider's clock or ten minutes without another jump confirm it"
    )
}

/// `+10 years`, `-26 hours`.
fn span(seconds: i64) -> String {
    let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs());
    let (unit, words) = match seconds {
        0..120 => (1, "seconds"),
        120..7200 => (60, "minutes"),
        7200..172_800 => (3600, "hours"),
        172_800..63_072_000 => (86_400, "days"),
        _ => (31_556_952, "years"),
    };
    let count = (seconds + unit / 2) / unit;
    format!("{sign}{count} {words}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_told_in_the_unit_that_people_would_use() {
        let told = [61, -86_400, 86_400 * 3, 86_400 * 3652, -86_400 * 3652].map(span);
        assert_eq!(told, ["+61 seconds", "-24 hours", "+3 days", "+10 years", "-10 years"]);
    }
}
