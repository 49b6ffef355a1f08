//! The end of a session.

use tokenkeeper_protocol::reply::LoggedOut;
use tokenkeeper_protocol::{Problem, SessionRef};

use super::Service;
use crate::domain::Peer;
use crate::keeper::Look;
use crate::policy::{Action, Permit, Target, judge};

impl Service {
    pub(super) async fn logout(&self, peer: &Peer, id: SessionRef) -> Result<LoggedOut, Problem> {
        let permit = match self.keeper.look(id).map_err(|error| error.to_problem())? {
            Look::Live(live) => self.may_end(peer, live.target()),
            Look::Dormant(session) => self.may_end(peer, Target::of(&session)),
            Look::Absent => None,
        };
        let Some(permit) = permit else { return Err(self.no_such_session(peer, Action::Logout, id).await) };
        self.keeper.logout(permit, id, peer).await.map_err(|error| error.to_problem())
    }

    /// Sessions are ended by those who may log out of them, and by those who manage them.
    fn may_end(&self, peer: &Peer, target: Target<'_>) -> Option<Permit> {
        let rules = &self.in_force.load().rules;
        judge(rules, peer, Action::Logout, target).or_else(|_| judge(rules, peer, Action::Manage, target)).ok()
    }
}
