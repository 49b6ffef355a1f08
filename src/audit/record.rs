//! An event as it is published: its stable name and number, how grave it is, and its fields in order.
//!
//! Names, numbers and field names never change their meaning: people's queries rest on them. They stand in `docs/audit.md`.

use std::fmt::Display;

use chrono::{DateTime, SecondsFormat};
use syslog::Severity;
use tokenkeeper_protocol::UnixSeconds;

use super::text::fit;
use super::{Event, What};
use crate::domain::Loss;

/// What both forms of a record are made of. The values are fit to be published and not yet quoted.
pub(super) struct Record {
    /// The message id of RFC 5424; the `syslog` crate wants a number.
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) severity: Severity,
    /// `event` and `at` come first.
    pub(super) fields: Vec<(&'static str, String)>,
}

impl Record {
    fn new(number: u32, name: &'static str, severity: Severity, at: UnixSeconds) -> Self {
        let fields = vec![("event", name.to_owned()), ("at", rfc3339(at))];
        Self { number, name, severity, fields }
    }

    fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.fields.push((name, fit(&value.to_string())));
        self
    }

    fn with_loss(self, lost: Option<Loss>) -> Self {
        match lost {
            Some(kind) => self.with("reason", kind.name()),
            None => self,
        }
    }
}

impl From<&Event> for Record {
    #[expect(clippy::too_many_lines, reason = "one arm for each event")]
    fn from(event: &Event) -> Self {
        let notice = |number, name| Self::new(number, name, Severity::LOG_NOTICE, event.at);
        let warning = |number, name| Self::new(number, name, Severity::LOG_WARNING, event.at);
        match &event.what {
            What::DaemonStarted { version } => notice(1, "daemon_started").with("version", version),
            What::DaemonStopped => notice(2, "daemon_stopped"),
            What::ConfigReloaded => notice(3, "config_reloaded"),
            What::ConfigRefused { why } => warning(4, "config_refused").with("why", why),
            What::LoginBegun { peer, provider } => {
                notice(5, "login_begun").with("peer", peer).with("provider", provider)
            }
            What::LoginCompleted { peer, provider, session, user } => notice(6, "login_completed")
                .with("peer", peer)
                .with("provider", provider)
                .with("session", session)
                .with("user", user),
            What::LoginFailed { peer, provider, why } => {
                warning(7, "login_failed").with("peer", peer).with("provider", provider).with("why", why)
            }
            What::TokenHandedOut { peer, session, generation, count } => notice(8, "token_handed_out")
                .with("peer", peer)
                .with("session", session)
                .with("generation", generation)
                .with("count", count),
            What::TokensHandedOutUnlisted { peer, count } => {
                notice(9, "tokens_handed_out_unlisted").with("peer", peer).with("count", count)
            }
            What::RefreshDone { session, provider, generation } => notice(10, "refresh_done")
                .with("session", session)
                .with("provider", provider)
                .with("generation", generation),
            What::RefreshFailed { session, provider, why, lost } => warning(11, "refresh_failed")
                .with("session", session)
                .with("provider", provider)
                .with("why", why)
                .with("needs_login", lost.is_some())
                .with_loss(*lost),
            What::LoggedOut { peer, session, provider } => {
                notice(12, "logged_out").with("peer", peer).with("session", session).with("provider", provider)
            }
            What::Revoked { session, provider, outcome } => {
                notice(13, "revoked").with("session", session).with("provider", provider).with("outcome", outcome)
            }
            What::Expired { session, provider, state, lost } => notice(14, "expired")
                .with("session", session)
                .with("provider", provider)
                .with("state", state)
                .with_loss(*lost),
            What::Removed { session, provider } => {
                notice(15, "removed").with("session", session).with("provider", provider)
            }
            What::AccountOpened { account, session, provider } => notice(18, "account_opened")
                .with("account", account)
                .with("session", session)
                .with("provider", provider),
            What::AccountClosed { account, session, provider } => notice(19, "account_closed")
                .with("account", account)
                .with("session", session)
                .with("provider", provider),
            What::ClockJumped { by_seconds, state } => {
                warning(20, "clock_jumped").with("by_seconds", by_seconds).with("state", state)
            }
            What::Denied { peer, action, target, reference, count } => warning(16, "denied")
                .with("peer", peer)
                .with("action", action)
                .with("target", target)
                .with("reference", reference)
                .with("count", count),
            What::ScopeNarrowed { session, provider, missing } => warning(17, "scope_narrowed")
                .with("session", session)
                .with("provider", provider)
                .with("missing", missing),
            What::KeysRotating { peer, epoch } => notice(21, "keys_rotating").with("peer", peer).with("epoch", epoch),
            What::KeysRotated { epoch } => notice(22, "keys_rotated").with("epoch", epoch),
            What::KeysRecovered { peer } => warning(23, "keys_recovered").with("peer", peer),
            What::KeysNotRecovered { peer, why } => {
                warning(24, "keys_not_recovered").with("peer", peer).with("why", why)
            }
            What::RollbackNoticed { found, anchored, why } => warning(25, "rollback_noticed")
                .with("found", found)
                .with("anchored", or_dash(*anchored))
                .with("why", why),
            What::RollbackAccepted { peer, found, anchored } => warning(26, "rollback_accepted")
                .with("peer", peer)
                .with("found", found)
                .with("anchored", or_dash(*anchored)),
            What::StoreDamaged { findings, first } => {
                warning(27, "store_damaged").with("findings", findings).with("first", first)
            }
            What::BackupTaken { peer, sessions } => {
                notice(28, "backup_taken").with("peer", peer).with("sessions", sessions)
            }
            What::Restored { sessions, generation } => {
                warning(29, "restored").with("sessions", sessions).with("generation", generation)
            }
            What::MovedOut { peer, sessions, generation } => {
                warning(30, "moved_out").with("peer", peer).with("sessions", sessions).with("generation", generation)
            }
            What::MoveOutConfirmed { peer, generation } => {
                notice(31, "move_out_confirmed").with("peer", peer).with("generation", generation)
            }
            What::MoveOutCancelled { peer, generation } => {
                warning(32, "move_out_cancelled").with("peer", peer).with("generation", generation)
            }
            What::Migrated { from, to } => notice(33, "migrated").with("from", from).with("to", to),
            What::Erased { peer, provider, sessions, not_revoked, seconds, forced } => notice(34, "erased")
                .with("peer", peer)
                .with("provider", provider)
                .with("sessions", sessions)
                .with("not_revoked", not_revoked)
                .with("seconds", seconds)
                .with("forced", forced),
        }
    }
}

fn or_dash(generation: Option<u64>) -> String {
    generation.map_or_else(|| "-".to_owned(), |generation| generation.to_string())
}

/// The time in UTC; a time beyond the calendar is given as its number of seconds.
fn rfc3339(at: UnixSeconds) -> String {
    DateTime::from_timestamp(at.0, 0)
        .map_or_else(|| at.0.to_string(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
}
