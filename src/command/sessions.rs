//! What sessions there are.

use tokenkeeper_protocol::reply::{SessionDetail, SessionState, SessionSummary, SessionsPage};
use tokenkeeper_protocol::request::SessionsRequest;
use tokenkeeper_protocol::{Problem, SessionRef};

use super::Service;
use super::reach::Seeker;
use crate::domain::{Peer, Session, State};
use crate::keeper::KeeperError;
use crate::policy::{Action, Permit, Target, judge};
use crate::vault::Scope;

/// Sessions on one page: enough to list quickly, few enough for one frame.
const PAGE: usize = 100;
/// Bytes on one page, so that it fits into a frame however long names and reasons are.
const PAGE_BYTES: usize = 40 * 1024;
/// Pages read for one request: a peer that may see few of many gets an early cursor instead of a long wait.
const PAGES_AT_ONCE: usize = 16;

impl Service {
    pub(super) async fn sessions(&self, peer: &Peer, request: &SessionsRequest) -> Result<SessionsPage, Problem> {
        let permit = self.permit(peer, Action::List, Target::Daemon, "sessions").await?;
        if let Some(provider) = &request.provider {
            let known = self.keeper.providers().contains_key(provider);
            let rules = &self.in_force.load().rules;
            if !known || judge(rules, peer, Action::List, Target::Provider(provider)).is_err() {
                return Err(self.no_such_provider(peer, Action::List, provider).await);
            }
        }
        self.visible(&permit, peer, request).await.map_err(|error| error.to_problem())
    }

    pub(super) async fn session(&self, peer: &Peer, id: SessionRef) -> Result<SessionDetail, Problem> {
        let found = self.keeper.vault().session(id).map_err(|error| KeeperError::from(error).to_problem())?;
        match found.map(|session| session.value).filter(|session| self.may(peer, Action::List, session)) {
            Some(session) => Ok(detail(&session)),
            None => Err(self.no_such_session(peer, Action::List, id).await),
        }
    }

    async fn visible(
        &self,
        permit: &Permit,
        peer: &Peer,
        request: &SessionsRequest,
    ) -> Result<SessionsPage, KeeperError> {
        let in_force = self.in_force.load_full();
        let owner = peer.owner();
        let seeker = Seeker { peer, owner: &owner, in_force: &in_force };
        // The narrowest indexes that hold everything the peer may see of what it asks for.
        let scopes = match (&request.provider, &request.user) {
            (Some(provider), Some(user)) => vec![Scope::Named(provider, user)],
            (provider, _) => seeker.scopes(permit, provider.as_ref()),
        };
        let (mut sessions, mut after, mut bytes) = (Vec::new(), request.cursor, 0);
        for _ in 0..PAGES_AT_ONCE {
            let page = self.keeper.vault().page_of_all(&scopes, after, PAGE)?;
            for session in page.sessions.iter().map(|session| &session.value) {
                let wanted = request.user.as_ref().is_none_or(|user| *user == session.user.name);
                if wanted && is_of_interest(session) && self.may(peer, Action::List, session) {
                    let row = summary(session);
                    bytes += size(&row);
                    if !sessions.is_empty() && (sessions.len() >= PAGE || bytes > PAGE_BYTES) {
                        return Ok(SessionsPage { sessions, next: after });
                    }
                    sessions.push(row);
                }
                after = Some(session.id);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(SessionsPage { sessions, next: None }),
            }
            tokio::task::yield_now().await;
        }
        Ok(SessionsPage { sessions, next: after })
    }
}

/// About how many bytes a row takes in a frame, at most.
fn size(row: &SessionSummary) -> usize {
    const FIXED: usize = 128;
    let state = match &row.state {
        SessionState::Active => 0,
        SessionState::NeedsLogin { reason, .. } | SessionState::Ended { reason, .. } => reason.len(),
    };
    let names = row.provider.as_str().len() + row.user.as_str().len() + row.opened_by.len();
    FIXED + state + names + row.device.as_ref().map_or(0, String::len)
}

/// A tombstone is of interest for as long as the provider has not been told.
fn is_of_interest(session: &Session) -> bool {
    !session.state.is_ended() || session.tokens.is_some()
}

fn summary(session: &Session) -> SessionSummary {
    let active = session.state.is_active();
    SessionSummary {
        session: session.id,
        provider: session.provider.clone(),
        user: session.user.name.clone(),
        device: session.device.clone(),
        opened_by: session.opened_by.to_string(),
        state: match &session.state {
            State::Active => SessionState::Active,
            State::NeedsLogin { reason, since } => {
                SessionState::NeedsLogin { reason: reason.to_string(), since: *since }
            }
            State::Ended { reason, since } => SessionState::Ended { reason: reason.to_string(), since: *since },
        },
        token_expires_at: session.tokens.as_ref().filter(|_| active).map(|tokens| tokens.access.expires_at),
        ends_at: session.ends_at,
    }
}

fn detail(session: &Session) -> SessionDetail {
    let tokens = session.tokens.as_ref().filter(|_| session.state.is_active());
    SessionDetail {
        summary: summary(session),
        user: session.user.clone(),
        authentication: session.authentication.clone(),
        scope: tokens.map(|tokens| tokens.access.scope.clone()).unwrap_or_default(),
        opened_at: session.opened_at,
        token_obtained_at: tokens.map(|tokens| tokens.access.obtained_at),
        refresh_due_at: tokens.and(session.due_at),
        refreshable: tokens.is_some_and(|tokens| tokens.refresh.is_some()),
        refreshes: session.refreshes,
        last_failure: session.trouble.as_ref().map(|trouble| trouble.what.clone()),
    }
}
