//! The end of a session.

use tokenkeeper_protocol::reply::LoggedOut;
use tokenkeeper_protocol::{Code, Problem, SessionRef};

use super::Service;
use crate::domain::{Owner, Peer};
use crate::keeper::Look;
use crate::policy::{Action, Target, judge};

impl Service {
    pub(super) async fn logout(&self, peer: &Peer, id: SessionRef) -> Result<LoggedOut, Problem> {
        let may = |target| judge(&self.in_force.load().rules, peer, Action::Logout, target).ok();
        let (permit, owner) = match self.keeper.look(id).map_err(|error| error.to_problem())? {
            Look::Live(live) => (may(live.target()), Some(live.owner.clone())),
            Look::Dormant(session) => (may(Target::of(&session)), Some(session.opened_by)),
            Look::Absent => (None, None),
        };
        let Some(permit) = permit else { return Err(self.no_such_session(peer, Action::Logout, id).await) };
        if let Some(Owner::Account(name)) = owner {
            let next = format!("remove [service_account.{name}] from the configuration and reload");
            return Err(Problem::new(
                Code::BadRequest,
                format!("session {id} is service account {name}, which nobody logs out of; {next}"),
            ));
        }
        self.keeper.logout(permit, id, peer).await.map_err(|error| error.to_problem())
    }
}
