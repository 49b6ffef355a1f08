//! Saying no, in words that tell what to do and not what exists.

use std::fmt;
use std::sync::Arc;

use tokenkeeper_protocol::{AccountName, Code, Problem, ProviderName, SessionRef};

use super::Service;
use crate::audit::What;
use crate::domain::{Peer, Session};
use crate::keeper::Live;
use crate::policy::{Action, Permit, Target, judge};
use crate::vault::{Change, VaultError};

/// Counts that are written in one batch: on a busy host there are very many, and each batch waits for the disk.
const TOGETHER: usize = 100;

/// What something was denied on.
enum Denied<'a> {
    Session(SessionRef),
    Provider(&'a ProviderName),
    Account(&'a AccountName),
    Other(&'a str),
}

impl fmt::Display for Denied<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(id) => f.write_str(id.as_str()),
            Self::Provider(provider) => f.write_str(provider.as_str()),
            Self::Account(account) => f.write_str(account.as_str()),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl Service {
    /// Judges; a denial is audited and turned into what the peer is told.
    pub(super) async fn permit(
        &self,
        peer: &Peer,
        action: Action,
        target: Target<'_>,
        named: &str,
    ) -> Result<Permit, Problem> {
        match judge(&self.in_force.load().rules, peer, action, target) {
            Ok(permit) => Ok(permit),
            Err(_) => Err(self.deny(peer, action, Denied::Other(named)).await),
        }
    }

    /// Whether `peer` may do `action` on this session.
    pub(super) fn may(&self, peer: &Peer, action: Action, session: &Session) -> bool {
        judge(&self.in_force.load().rules, peer, action, Target::of(session)).is_ok()
    }

    /// What a peer is told that may not do `action` on a session, or that named one which does not exist: the same.
    ///
    /// A peer with some rule for the action learns only that the session is not among those it may use.
    pub(super) async fn no_such_session(&self, peer: &Peer, action: Action, session: SessionRef) -> Problem {
        if self.may_somewhere(peer, action) {
            let known = self.keeper.look(session).is_ok_and(|look| !matches!(look, crate::keeper::Look::Absent));
            if known {
                self.note_denial(peer, action, session.as_str()).await;
            }
            let words = format!(
                "there is no session {session} among those that {} may use for {:?}",
                peer.name(),
                action.name()
            );
            return Problem::new(Code::NotFound, format!("{words}; `tokenkeeper sessions` lists them"));
        }
        self.deny(peer, action, Denied::Session(session)).await
    }

    /// The same for a provider.
    pub(super) async fn no_such_provider(&self, peer: &Peer, action: Action, provider: &ProviderName) -> Problem {
        if !self.may_somewhere(peer, action) {
            return self.deny(peer, action, Denied::Provider(provider)).await;
        }
        let rules = &self.in_force.load().rules;
        let usable: Vec<_> = self.keeper.providers().keys().cloned().collect();
        let usable = usable.iter().filter(|name| judge(rules, peer, action, Target::Provider(name)).is_ok());
        let usable: Vec<_> = usable.map(ProviderName::as_str).collect();
        let choice = if usable.is_empty() { "none is configured".to_owned() } else { usable.join(", ") };
        let words = format!("there is no provider {provider} that {} may use for {:?}", peer.name(), action.name());
        Problem::new(Code::NotFound, format!("{words}; available: {choice}"))
    }

    /// The same for a service account.
    pub(super) async fn no_such_account(&self, peer: &Peer, action: Action, account: &AccountName) -> Problem {
        if !self.may_somewhere(peer, action) {
            return self.deny(peer, action, Denied::Account(account)).await;
        }
        if self.keeper.account(account).is_some() {
            self.note_denial(peer, action, account.as_str()).await;
        }
        let words =
            format!("there is no service account {account} that {} may use for {:?}", peer.name(), action.name());
        Problem::new(Code::NotFound, format!("{words}; the configuration names them, as [service_account.NAME]"))
    }

    async fn deny(&self, peer: &Peer, action: Action, denied: Denied<'_>) -> Problem {
        let reference = self.note_denial(peer, action, &denied.to_string()).await;
        let (who, action) = (peer.name(), action.name());
        let (on, option) = match denied {
            Denied::Session(id) => ("this session".to_owned(), format!(" --session {id}")),
            Denied::Provider(provider) => (format!("provider {provider}"), format!(" --provider {provider}")),
            Denied::Account(account) => (format!("service account {account}"), format!(" --account {account}")),
            Denied::Other(what) => (what.to_owned(), String::new()),
        };
        let or = if matches!(denied, Denied::Other(_)) { "" } else { ", or it does not exist" };
        let subject = match &peer.unit {
            Some(unit) => format!("--as-unit {unit}"),
            None => format!("--as-user {}", peer.uid),
        };
        let message = format!(
            "{who} has no rule for {action:?} on {on}{or}. Ask an administrator to run: \
             sudo tokenkeeper policy explain {subject} {action}{option}"
        );
        Problem { audit_reference: Some(reference), ..Problem::new(Code::Denied, message) }
    }

    /// Audits a denial, the first of its kind at once, and returns what finds it in the audit trail.
    pub(super) async fn note_denial(&self, peer: &Peer, action: Action, named: &str) -> String {
        let fresh = || format!("r-{:05x}", rand::random::<u32>() & 0xf_ffff);
        let (reference, first) = self.tally.denied(peer, action.name(), named, fresh);
        if first {
            let what = What::Denied {
                peer: peer.to_string(),
                action: action.name().to_owned(),
                target: named.to_owned(),
                reference: reference.clone(),
                count: 1,
            };
            if !self.record_countable(|change| change.audit(what).map(drop)).await {
                self.tally.denied(peer, action.name(), named, fresh);
            }
        }
        reference
    }

    /// Writes the first hand-out of a token to a peer, which the history of the session tells too.
    pub(super) async fn record_hand_out(&self, peer: &Arc<Peer>, live: &Live) {
        let (session, told, generation) = (live.session, live.told, live.generation);
        if !self.record_countable(|change| change.hand_out(peer, session, told, generation).map(drop)).await {
            self.tally.repeat(peer, session, generation);
        }
    }

    /// Writes what was counted of hand-outs and denials since the last time. What cannot be written goes on being counted.
    pub async fn record_counts(&self) {
        if !self.takes_countable() {
            return;
        }
        for some in self.tally.drain().chunks(TOGETHER) {
            let tell = |change: &mut Change<'_>| some.iter().try_for_each(|what| change.audit(what.clone()).map(drop));
            if !self.record_countable(tell).await {
                for what in some {
                    self.tally.put_back(what);
                }
            }
        }
    }

    /// Writes an event of which there may be very many, if there is room. Returns whether it was written.
    async fn record_countable(&self, tell: impl FnOnce(&mut Change<'_>) -> Result<(), VaultError>) -> bool {
        self.takes_countable() && self.record_with(tell).await
    }

    fn takes_countable(&self) -> bool {
        let vault = self.keeper.vault();
        vault.fault().is_none() && !vault.outbox_is_full().unwrap_or(false)
    }

    /// Writes an event that belongs to no change.
    pub async fn record(&self, what: What) {
        self.record_with(|change| change.audit(what).map(drop)).await;
    }

    async fn record_with(&self, tell: impl FnOnce(&mut Change<'_>) -> Result<(), VaultError>) -> bool {
        let mut change = self.keeper.vault().change(self.keeper.clock().now());
        let written = match tell(&mut change) {
            Ok(()) => change.commit().await,
            Err(error) => Err(error),
        };
        if let Err(error) = &written {
            tracing::error!(%error, "an audit event could not be written");
        }
        written.is_ok()
    }

    fn may_somewhere(&self, peer: &Peer, action: Action) -> bool {
        judge(&self.in_force.load().rules, peer, action, Target::Daemon).is_ok()
    }
}
