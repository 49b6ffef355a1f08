//! How a provider is doing, as far as this process has seen.

use std::sync::{Mutex, PoisonError};

use tokenkeeper_protocol::UnixSeconds;

use super::Fault;

/// How a provider is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// When it last answered as it should. Nothing has been asked of it yet if this and `failure` are missing.
    pub last_success_at: Option<UnixSeconds>,
    /// Since when it has not, and what happened last, in words.
    pub failure: Option<(UnixSeconds, String)>,
}

/// Where the last word is kept.
#[derive(Debug, Default)]
pub(super) struct Record(Mutex<Health>);

impl Record {
    /// It answered as it should.
    pub(super) fn succeeded(&self, now: UnixSeconds) {
        self.change(|health| *health = Health { last_success_at: Some(now), failure: None });
    }

    /// It did not. The time of the first failure in a row stays.
    pub(super) fn failed(&self, now: UnixSeconds, fault: &Fault) {
        self.change(|health| {
            let since = health.failure.as_ref().map_or(now, |(since, _)| *since);
            health.failure = Some((since, fault.to_string()));
        });
    }

    /// A copy.
    pub(super) fn health(&self) -> Health {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Health)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_since_when_until_a_success_ends_it() {
        let record = Record::default();
        assert_eq!(record.health(), Health::default());
        record.failed(UnixSeconds(10), &Fault::NoRefreshToken);
        record.failed(UnixSeconds(20), &Fault::AnotherUser);
        assert_eq!(record.health().failure, Some((UnixSeconds(10), Fault::AnotherUser.to_string())));
        record.succeeded(UnixSeconds(30));
        assert_eq!(record.health(), Health { last_success_at: Some(UnixSeconds(30)), failure: None });
    }
}
