//! The end of a session.

use tokenkeeper_protocol::reply::LoggedOut;
use tokenkeeper_protocol::{Problem, SessionRef};

use super::Service;
use crate::domain::Peer;
use crate::keeper::Look;
use crate::policy::{Action, Target, judge};

impl Service {
    pub(super) async fn logout(&self, peer: &Peer, id: SessionRef) -> Result<LoggedOut, Problem> {
        let may = |target| judge(&self.in_force.load().rules, peer, Action::Logout, target).ok();
        let permit = match self.keeper.look(id).map_err(|error| error.to_problem())? {
            Look::Live(live) => may(live.target()),
            Look::Dormant(session) => may(Target::of(&session)),
            Look::Absent => None,
        };
        let Some(permit) = permit else { return Err(self.no_such_session(peer, Action::Logout, id).await) };
        self.keeper.logout(permit, id, peer).await.map_err(|error| error.to_problem())
    }
}
