//! The store as a whole: for those who look after the host.

use tokenkeeper_protocol::reply::RollbackAccepted;
use tokenkeeper_protocol::{Code, Problem};

use super::Service;
use crate::domain::Peer;
use crate::keeper::KeeperError;
use crate::policy::{Action, Target, judge};

impl Service {
    /// Ends the quarantine that follows a rollback.
    pub(super) async fn accept_rollback(&self, peer: &Peer) -> Result<RollbackAccepted, Problem> {
        self.permit_everything(peer).await?;
        let now = self.keeper.clock().now();
        let accepted = self.keeper.vault().accept_rollback(peer.to_string(), now).await;
        let rollback = accepted.map_err(|error| KeeperError::from(error).to_problem())?.ok_or_else(|| {
            Problem::new(Code::NotFound, "there is no rollback to accept: all refresh tokens are used as usual")
        })?;
        let (found, anchored, noticed_at) = (rollback.found, rollback.anchored, rollback.noticed_at);
        Ok(RollbackAccepted { found, anchored, why: rollback.why, noticed_at })
    }

    /// For what concerns every session there is.
    pub(super) async fn permit_everything(&self, peer: &Peer) -> Result<(), Problem> {
        let _permit = self.permit(peer, Action::Manage, Target::Daemon, "the store").await?;
        if !self.manages_everything(peer) {
            self.note_denial(peer, Action::Manage, "the store").await;
            let words =
                "this is about the sessions of all providers: it takes a rule for \"manage\" on all sessions of each";
            return Err(Problem::new(Code::Denied, words));
        }
        Ok(())
    }

    /// Whether a peer looks after all sessions, wherever they are.
    fn manages_everything(&self, peer: &Peer) -> bool {
        let rules = &self.in_force.load().rules;
        let manages = |target| judge(rules, peer, Action::Manage, target).is_ok_and(|permit| permit.reaches().all);
        manages(Target::Daemon) && self.keeper.providers().keys().all(|name| manages(Target::Provider(name)))
    }
}
