//! A valid access token.

use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::request::{Selector, TokenRequest};
use tokenkeeper_protocol::{Problem, SessionRef};

use super::{Answer, Service};
use crate::domain::Peer;
use crate::keeper::{Attended, Keeper, KeeperError, Live, Look, Served, Wish};
use crate::policy::{Action, Permit, judge};

/// How long a peer that does not say waits for a refresh.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest that a peer can ask to wait.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(2);
/// Refreshes that a request waits for: its own, and one that was on its way for another reason.
const ROUNDS: usize = 3;

impl Service {
    /// The hot way: a live token from memory, handed out to a peer that has had it before.
    pub(super) fn token_at_once(&self, peer: &Arc<Peer>, request: &TokenRequest) -> Option<Answer> {
        let Selector::Session(id) = request.selector else { return None };
        let live = self.keeper.glance(id)?;
        let permit = self.permit_for(peer, &live)?;
        let Ok(Served::Now(reply)) = self.keeper.serve(&permit, &live, min_valid(request)) else { return None };
        // The first hand-out is audited before it is answered.
        self.tally.repeat(peer, id, live.generation).then_some(Answer::Encoded(reply))
    }

    /// Every other way: from disk, after a refresh, or not at all.
    pub(super) async fn token(&self, peer: &Arc<Peer>, request: &TokenRequest) -> Result<Answer, Problem> {
        let timeout = request.timeout_ms.map_or(DEFAULT_TIMEOUT, |ms| Duration::from_millis(ms.into()));
        let id = self.find(peer, &request.selector).await?;
        match tokio::time::timeout(timeout.min(LONGEST_TIMEOUT), self.token_of(peer, id, request)).await {
            Ok(answer) => answer,
            Err(_) => self.fall_back(peer, id, request, KeeperError::StillWorking).await,
        }
    }

    /// Judges and looks again after every wait: the rules, the session or its token may have changed meanwhile.
    async fn token_of(&self, peer: &Arc<Peer>, id: SessionRef, request: &TokenRequest) -> Result<Answer, Problem> {
        let mut renewed = None;
        for _ in 0..ROUNDS {
            let live = self.live(peer, id).await?;
            let Some(permit) = self.permit_for(peer, &live) else {
                return Err(self.no_such_session(peer, Action::Token, id).await);
            };
            match self.keeper.serve(&permit, &live, min_valid(request)).map_err(|error| error.to_problem())? {
                Served::Now(reply) => return Ok(self.hand_out(peer, &live, reply).await),
                Served::AfterRefresh if renewed == Some(live.generation) => break,
                Served::AfterRefresh => {}
            }
            match self.keeper.attend(id, Wish::NewToken).outcome().await {
                Ok(Attended::Renewed) => renewed = self.keeper.glance(id).map(|live| live.generation),
                Ok(_) => {}
                Err(error) => return self.fall_back(peer, id, request, error).await,
            }
        }
        let live = self.live(peer, id).await?;
        self.fall_back(peer, id, request, Keeper::too_short(&live, live.life)).await
    }

    /// The active session, or why there is none for this peer.
    async fn live(&self, peer: &Arc<Peer>, id: SessionRef) -> Result<Arc<Live>, Problem> {
        match self.keeper.look(id).map_err(|error| error.to_problem())? {
            Look::Live(live) => Ok(live),
            Look::Dormant(session) if self.may(peer, Action::Token, &session) => {
                Err(KeeperError::from(&*session).to_problem())
            }
            Look::Dormant(_) | Look::Absent => Err(self.no_such_session(peer, Action::Token, id).await),
        }
    }

    /// A live token that is shorter than wished is better than none, for a caller that did not ask for more.
    async fn fall_back(
        &self,
        peer: &Arc<Peer>,
        id: SessionRef,
        request: &TokenRequest,
        error: KeeperError,
    ) -> Result<Answer, Problem> {
        let usable = self.keeper.glance(id).and_then(|live| {
            let permit = self.permit_for(peer, &live)?;
            let reply = self.keeper.serve_anyway(&permit, &live, min_valid(request))?;
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
}

fn min_valid(request: &TokenRequest) -> Option<Duration> {
    request.min_valid_seconds.map(|seconds| Duration::from_secs(seconds.into()))
}
