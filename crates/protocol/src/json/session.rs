//! Sessions, at a glance and in full.

use serde::Serialize;

use super::rfc3339;
use crate::UnixSeconds;
use crate::reply::{self, SessionState};

/// View of a [`reply::SessionsPage`].
#[derive(Serialize)]
pub struct SessionsPage<'a> {
    sessions: Vec<SessionSummary<'a>>,
    next: Option<&'a str>,
}

impl<'a> From<&'a reply::SessionsPage> for SessionsPage<'a> {
    fn from(page: &'a reply::SessionsPage) -> Self {
        Self {
            sessions: page.sessions.iter().map(SessionSummary::from).collect(),
            next: page.next.as_ref().map(crate::SessionRef::as_str),
        }
    }
}

/// View of a [`reply::SessionSummary`].
#[derive(Serialize)]
pub struct SessionSummary<'a> {
    session: &'a str,
    provider: &'a str,
    user: &'a str,
    device: Option<&'a str>,
    opened_by: &'a str,
    state: &'static str,
    reason: Option<&'a str>,
    since: Option<String>,
    token_expires_at: Option<String>,
    ends_at: Option<String>,
}

impl<'a> From<&'a reply::SessionSummary> for SessionSummary<'a> {
    fn from(session: &'a reply::SessionSummary) -> Self {
        let (state, why) = match &session.state {
            SessionState::Active => ("active", None),
            SessionState::NeedsLogin { reason, since } => ("needs_login", Some((reason, *since))),
            SessionState::Ended { reason, since } => ("ended", Some((reason, *since))),
        };
        Self {
            session: session.session.as_str(),
            provider: session.provider.as_str(),
            user: session.user.as_str(),
            device: session.device.as_deref(),
            opened_by: &session.opened_by,
            state,
            reason: why.map(|(reason, _)| reason.as_str()),
            since: why.map(|(_, since)| rfc3339(since)),
            token_expires_at: session.token_expires_at.map(rfc3339),
            // A service account goes on for as long as it is configured.
            ends_at: (session.ends_at != UnixSeconds::NEVER).then(|| rfc3339(session.ends_at)),
        }
    }
}

/// View of a [`reply::SessionDetail`]: the keys of [`SessionSummary`], and more.
#[derive(Serialize)]
pub struct Session<'a> {
    #[serde(flatten)]
    summary: SessionSummary<'a>,
    subject: &'a str,
    issuer: &'a str,
    email: Option<&'a str>,
    acr: Option<&'a str>,
    amr: &'a [String],
    auth_time: Option<String>,
    scope: &'a str,
    opened_at: String,
    token_obtained_at: Option<String>,
    refresh_due_at: Option<String>,
    refreshable: bool,
    refreshes: u64,
    last_failure: Option<&'a str>,
}

impl<'a> From<&'a reply::SessionDetail> for Session<'a> {
    fn from(detail: &'a reply::SessionDetail) -> Self {
        Self {
            summary: SessionSummary::from(&detail.summary),
            subject: &detail.user.subject,
            issuer: &detail.user.issuer,
            email: detail.user.email.as_deref(),
            acr: detail.authentication.acr.as_deref(),
            amr: &detail.authentication.amr,
            auth_time: detail.authentication.auth_time.map(rfc3339),
            scope: &detail.scope,
            opened_at: rfc3339(detail.opened_at),
            token_obtained_at: detail.token_obtained_at.map(rfc3339),
            refresh_due_at: detail.refresh_due_at.map(rfc3339),
            refreshable: detail.refreshable,
            refreshes: detail.refreshes,
            last_failure: detail.last_failure.as_deref(),
        }
    }
}
