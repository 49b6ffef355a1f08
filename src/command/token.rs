//! A valid access token.

use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::request::{Holder, Selector, TokenFor, TokenRequest};
use tokenkeeper_protocol::{AccountName, Problem, SessionRef};

use super::purpose::Purpose;
use super::{Answer, Service};
use crate::domain::Peer;
use crate::keeper::{Attended, KeeperError, Live, Look, Served, Wish};
use crate::policy::{Action, Permit, judge};

/// How long a peer that does not say waits for a refresh.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest that a peer can ask to wait.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(2);
/// Refreshes that a request waits for: its own, and one that was on its way for another reason.
const ROUNDS: usize = 3;

/// What a peer wants, whichever request it asks with.
struct Wanted<'a> {
    of: Named<'a>,
    min_valid_seconds: Option<u32>,
    timeout_ms: Option<u32>,
    purpose: Purpose<'a>,
}

/// Whose token a peer asked for: what it does not know, no answer tells it.
#[derive(Clone, Copy)]
enum Named<'a> {
    Session(&'a Selector),
    Account(&'a AccountName),
}

impl Service {
    /// The hot way: a live token from memory, handed out to a peer that has had it before.
    pub(super) fn token_at_once(&self, peer: &Arc<Peer>, request: &TokenRequest) -> Option<Answer> {
        self.at_once(peer, &Wanted::from(request))
    }

    /// The same for a request that says what for.
    pub(super) fn token_for_at_once(&self, peer: &Arc<Peer>, request: &TokenFor) -> Option<Answer> {
        self.at_once(peer, &Wanted::from(request))
    }

    /// Every other way: from disk, after a refresh, or not at all.
    pub(super) async fn token(&self, peer: &Arc<Peer>, request: &TokenRequest) -> Result<Answer, Problem> {
        self.in_time(peer, &Wanted::from(request)).await
    }

    /// The same for a request that says what for.
    pub(super) async fn token_for(&self, peer: &Arc<Peer>, request: &TokenFor) -> Result<Answer, Problem> {
        let wanted = Wanted::from(request);
        wanted.purpose.check_form()?;
        self.in_time(peer, &wanted).await
    }

    fn at_once(&self, peer: &Arc<Peer>, wanted: &Wanted<'_>) -> Option<Answer> {
        let id = match wanted.of {
            Named::Session(Selector::Session(id)) => *id,
            Named::Session(Selector::Only { .. }) => return None,
            Named::Account(name) => self.keeper.account(name)?,
        };
        let live = self.keeper.glance(id)?;
        let permit = self.permit_for(peer, &live)?;
        wanted.purpose.check(&live).ok()?;
        let Ok(Served::Now(reply)) = self.keeper.serve(&permit, &live, wanted.min_valid()) else { return None };
        // The first hand-out is audited before it is answered.
        self.tally.repeat(peer, id, live.generation).then_some(Answer::Encoded(reply))
    }

    async fn in_time(&self, peer: &Arc<Peer>, wanted: &Wanted<'_>) -> Result<Answer, Problem> {
        let timeout = wanted.timeout_ms.map_or(DEFAULT_TIMEOUT, |ms| Duration::from_millis(ms.into()));
        let id = match wanted.of {
            Named::Session(selector) => self.find(peer, selector).await?,
            Named::Account(name) => match self.keeper.account(name) {
                Some(id) => id,
                None => return Err(self.no_such_account(peer, Action::Token, name).await),
            },
        };
        match tokio::time::timeout(timeout.min(LONGEST_TIMEOUT), self.token_of(peer, id, wanted)).await {
            Ok(answer) => answer,
            Err(_) => self.fall_back(peer, id, wanted, KeeperError::StillWorking).await,
        }
    }

    /// Judges and looks again after every wait: the rules, the session or its token may have changed meanwhile.
    async fn token_of(&self, peer: &Arc<Peer>, id: SessionRef, wanted: &Wanted<'_>) -> Result<Answer, Problem> {
        let mut renewed = None;
        for _ in 0..ROUNDS {
            if let Some(live) = self.live(peer, id, wanted).await? {
                let Some(permit) = self.permit_for(peer, &live) else {
                    return Err(self.nothing_for(peer, id, wanted).await);
                };
                wanted.purpose.check(&live)?;
                let served = self.keeper.serve(&permit, &live, wanted.min_valid());
                match served.map_err(|error| error.to_problem())? {
                    Served::Now(reply) => return Ok(self.hand_out(peer, &live, reply).await),
                    Served::AfterRefresh if renewed == Some(live.generation) => break,
                    Served::AfterRefresh => {}
                }
            }
            match self.keeper.attend(id, Wish::NewToken).outcome().await {
                Ok(Attended::Renewed) => renewed = self.keeper.glance(id).map(|live| live.generation),
                Ok(_) => {}
                Err(error) => return self.fall_back(peer, id, wanted, error).await,
            }
        }
        let live = self.live(peer, id, wanted).await?;
        let short = |live: Arc<Live>| self.keeper.falls_short(&live, wanted.min_valid());
        let error = live.map_or(KeeperError::StillWorking, short);
        self.fall_back(peer, id, wanted, error).await
    }

    /// The active session, or why there is none for this peer. Nothing for a service account that has no token yet.
    async fn live(&self, peer: &Arc<Peer>, id: SessionRef, wanted: &Wanted<'_>) -> Result<Option<Arc<Live>>, Problem> {
        match self.keeper.look(id).map_err(|error| error.to_problem())? {
            Look::Live(live) => Ok(Some(live)),
            Look::Dormant(session) if self.may(peer, Action::Token, &session) => {
                let is_without = session.account().is_some() && session.state.is_active() && session.tokens.is_none();
                if is_without { Ok(None) } else { Err(KeeperError::from(&*session).to_problem()) }
            }
            Look::Dormant(_) | Look::Absent => Err(self.nothing_for(peer, id, wanted).await),
        }
    }

    /// A live token that is shorter than wished is better than none, for a caller that did not ask for more.
    async fn fall_back(
        &self,
        peer: &Arc<Peer>,
        id: SessionRef,
        wanted: &Wanted<'_>,
        error: KeeperError,
    ) -> Result<Answer, Problem> {
        let usable = self.keeper.glance(id).filter(|live| wanted.purpose.check(live).is_ok()).and_then(|live| {
            let permit = self.permit_for(peer, &live)?;
            let reply = self.keeper.serve_anyway(&permit, &live, wanted.min_valid())?;
            Some((live, reply))
        });
        match usable {
            Some((live, reply)) => Ok(self.hand_out(peer, &live, reply).await),
            None => Err(error.to_problem()),
        }
    }

    async fn hand_out(
        &self,
        peer: &Arc<Peer>,
        live: &Live,
        reply: Arc<tokenkeeper_protocol::codec::Encoded>,
    ) -> Answer {
        if self.tally.hand_out(peer, live.session, live.generation) {
            self.record_hand_out(peer, live).await;
        }
        Answer::Encoded(reply)
    }

    fn permit_for(&self, peer: &Peer, live: &Live) -> Option<Permit> {
        judge(&self.in_force.load().rules, peer, Action::Token, live.target()).ok()
    }

    /// What a peer is told that may not have what it asked for, or asked for what is not there.
    async fn nothing_for(&self, peer: &Peer, id: SessionRef, wanted: &Wanted<'_>) -> Problem {
        match wanted.of {
            Named::Session(_) => self.no_such_session(peer, Action::Token, id).await,
            Named::Account(name) => self.no_such_account(peer, Action::Token, name).await,
        }
    }
}

impl Wanted<'_> {
    fn min_valid(&self) -> Option<Duration> {
        self.min_valid_seconds.map(|seconds| Duration::from_secs(seconds.into()))
    }
}

impl<'a> From<&'a TokenRequest> for Wanted<'a> {
    fn from(request: &'a TokenRequest) -> Self {
        let TokenRequest { selector, min_valid_seconds, timeout_ms } = request;
        let (min_valid_seconds, timeout_ms) = (*min_valid_seconds, *timeout_ms);
        Self { of: Named::Session(selector), min_valid_seconds, timeout_ms, purpose: Purpose::default() }
    }
}

impl<'a> From<&'a TokenFor> for Wanted<'a> {
    fn from(request: &'a TokenFor) -> Self {
        Self {
            of: match &request.of {
                Holder::Session(selector) => Named::Session(selector),
                Holder::Account(name) => Named::Account(name),
            },
            min_valid_seconds: request.min_valid_seconds,
            timeout_ms: request.timeout_ms,
            purpose: Purpose { scope: request.scope.as_deref(), resource: request.resource.as_deref() },
        }
    }
}
