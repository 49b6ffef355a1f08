//! What a session becomes when it is closed. Pure.

use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;

use crate::domain::session::Trouble;
use crate::domain::{EndReason, LoginReason, Session, State};

/// A session that needs a login. What is left of its tokens is revoked, not kept.
pub(super) fn needing_login(session: &Session, reason: LoginReason, now: UnixSeconds, retention: Duration) -> Session {
    let mut new = session.clone();
    new.state = State::NeedsLogin { reason, since: now };
    new.generation += 1;
    new.trouble = None;
    new.due_at = new.tokens.is_some().then_some(now);
    new.prune_at = now.max(new.ends_at) + retention;
    new
}

/// The tombstone of a session. Its tokens stay until they are revoked; those that went with the refusal of a refresh never were.
pub(super) fn ended(session: &Session, reason: EndReason, now: UnixSeconds, retention: Duration) -> Session {
    let mut new = session.clone();
    new.state = State::Ended { reason, since: now };
    new.generation += 1;
    new.trouble = match &session.state {
        State::NeedsLogin { reason, .. } if reason.is_refusal() && new.tokens.is_none() => Some(Trouble {
            what: "its tokens were gone before they could be revoked; they expire by themselves".to_owned(),
            ..Trouble::default()
        }),
        _ => new.trouble.filter(|_| new.tokens.is_none()),
    };
    new.due_at = new.tokens.is_some().then_some(now);
    new.prune_at = now + retention;
    new
}
