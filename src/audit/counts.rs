//! How often things happened since the start, counted from the events when they are on disk: what is told is what is counted.
//!
//! Invariant: providers come from the configuration and actions from the vocabulary of rules, so the maps stay small.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokenkeeper_protocol::ProviderName;
use tokenkeeper_protocol::reply::Refused;

use super::{Event, What};

/// By provider and outcome.
pub type ByProvider = BTreeMap<(ProviderName, &'static str), u64>;

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Logins: `completed` or `failed`.
    pub logins: ByProvider,
    /// Refreshes: `done`, `failed` or `needs_login`.
    pub refreshes: ByProvider,
    /// Sessions whose user must log in again, by reason.
    pub lost: ByProvider,
    /// Logouts: `ended`.
    pub logouts: ByProvider,
    /// Denials, by action.
    pub denials: BTreeMap<String, u64>,
    /// The last of the sessions that a refresh lost, until it is removed.
    pub last_refused: Option<Refused>,
}

/// Where it is counted. Only those who have just waited for the disk come here.
#[derive(Debug, Default)]
pub struct Counters(Mutex<Counts>);

impl Counters {
    /// Counts events that were written.
    pub fn note(&self, events: &[Event]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            counts.note_refused(event);
            counts.note(&event.what);
        }
    }

    /// What was counted so far.
    pub fn read(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Counts {
    fn note_refused(&mut self, event: &Event) {
        match &event.what {
            What::RefreshFailed { session, provider, why, lost: Some(_) } => {
                let (session, provider, why) = (*session, provider.clone(), why.clone());
                self.last_refused = Some(Refused { at: event.at, session, provider, why });
            }
            // What a provider said may name its user: it goes with the session.
            What::Removed { session, .. } => {
                self.last_refused.take_if(|refused| refused.session == *session);
            }
            What::Erased { .. } => self.last_refused = None,
            _ => {}
        }
    }

    fn note(&mut self, what: &What) {
        if let What::RefreshFailed { provider, lost: Some(loss), .. }
        | What::Expired { provider, lost: Some(loss), .. } = what
        {
            *self.lost.entry((provider.clone(), loss.name())).or_default() += 1;
        }
        let (counts, provider, outcome) = match what {
            What::LoginCompleted { provider, .. } => (&mut self.logins, provider, "completed"),
            What::LoginFailed { provider, .. } => (&mut self.logins, provider, "failed"),
            What::RefreshDone { provider, .. } => (&mut self.refreshes, provider, "done"),
            What::RefreshFailed { provider, lost: Some(_), .. } => (&mut self.refreshes, provider, "needs_login"),
            What::RefreshFailed { provider, lost: None, .. } => (&mut self.refreshes, provider, "failed"),
            What::LoggedOut { provider, .. } => (&mut self.logouts, provider, "ended"),
            What::Denied { action, count, .. } => {
                let denials = self.denials.entry(action.clone()).or_default();
                *denials = denials.saturating_add(*count);
                return;
            }
            // Hand-outs are counted with the requests: all of them, at once.
            _ => return,
        };
        *counts.entry((provider.clone(), outcome)).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use tokenkeeper_protocol::UnixSeconds;

    use super::*;
    use crate::domain::Loss;

    #[test]
    fn events_are_counted_by_provider_and_outcome_and_denials_as_often_as_they_happened() {
        let counters = Counters::default();
        let (session, provider): (_, ProviderName) = ("7k3vq2mx".parse().unwrap(), "corp".parse().unwrap());
        let failed = |lost| {
            let (provider, why) = (provider.clone(), String::new());
            What::RefreshFailed { session, provider, why, lost }
        };
        let denied = |count| {
            let text = String::new;
            What::Denied { peer: text(), action: "token".to_owned(), target: text(), reference: text(), count }
        };
        let done = What::RefreshDone { session, provider: provider.clone(), generation: 2 };
        let removed = What::Removed { session, provider: provider.clone() };
        let events =
            [done, failed(None), failed(None), failed(Some(Loss::Refused)), denied(1), denied(41), What::DaemonStopped];
        counters.note(&events.map(|what| Event { at: UnixSeconds(0), what }));
        let counts = counters.read();
        let of = |outcome| counts.refreshes.get(&(provider.clone(), outcome)).copied();
        assert_eq!([of("done"), of("failed"), of("needs_login")], [Some(1), Some(2), Some(1)]);
        assert_eq!(counts.lost.get(&(provider, "refused")), Some(&1));
        assert_eq!((counts.denials["token"], counts.logins.len()), (42, 0));
        assert_eq!(counts.last_refused.map(|refused| refused.session), Some(session));
        counters.note(&[Event { at: UnixSeconds(0), what: removed }]);
        assert_eq!(counters.read().last_refused, None, "it goes with the session");
    }
}
