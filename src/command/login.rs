//! The two halves of a login.

use tokenkeeper_protocol::reply::{LoggedIn, LoginBegun};
use tokenkeeper_protocol::request::{LoginBegin, LoginComplete};
use tokenkeeper_protocol::{Problem, ProviderName, SessionRef};

use super::Service;
use crate::domain::Peer;
use crate::keeper::{KeeperError, Look};
use crate::policy::{Action, Permit, Target, judge};

impl Service {
    pub(super) async fn begin_login(&self, peer: &Peer, begin: &LoginBegin) -> Result<LoginBegun, Problem> {
        let permit = self.may_begin(peer, &begin.provider, begin.replaces).await?;
        self.keeper.begin_login(permit, peer, begin).await.map_err(|error| error.to_problem())
    }

    /// Whether `peer` may begin a login at `provider` that renews `replaces`.
    pub(super) async fn may_begin(
        &self,
        peer: &Peer,
        provider: &ProviderName,
        replaces: Option<SessionRef>,
    ) -> Result<Permit, Problem> {
        let permit = judge(&self.in_force.load().rules, peer, Action::Login, Target::Provider(provider));
        let known = self.keeper.providers().contains_key(provider);
        let (Ok(permit), true) = (permit, known) else {
            return Err(self.no_such_provider(peer, Action::Login, provider).await);
        };
        if let Some(replaced) = replaces {
            self.may_replace(peer, replaced).await?;
        }
        Ok(permit)
    }

    pub(super) async fn complete_login(&self, peer: &Peer, complete: &LoginComplete) -> Result<LoggedIn, Problem> {
        // Whoever may log in nowhere has begun nothing, and does not fill the audit trail by guessing.
        let _permit = self.permit(peer, Action::Login, Target::Daemon, "a login").await?;
        let login = match self.keeper.pending_login(peer, complete.login_id) {
            Ok(login) => login.value,
            Err(error) => {
                // Counted like a denial: it costs a peer nothing to guess on.
                if matches!(error, KeeperError::LoginFailed { .. }) {
                    self.note_denial(peer, Action::Login, "a login that is not known").await;
                }
                return Err(error.to_problem());
            }
        };
        // The rules may have changed while the user was away, and so may the session to be replaced.
        let named = login.provider.as_str();
        let permit = self.permit(peer, Action::Login, Target::Provider(&login.provider), named).await?;
        if let Some(replaced) = login.replaces {
            self.may_replace(peer, replaced).await?;
        }
        self.keeper.complete_login(permit, peer, complete).await.map_err(|error| error.to_problem())
    }

    async fn may_replace(&self, peer: &Peer, session: SessionRef) -> Result<(), Problem> {
        let allowed = |target| judge(&self.in_force.load().rules, peer, Action::Login, target).is_ok();
        let may = match self.keeper.look(session).map_err(|error| error.to_problem())? {
            Look::Live(live) => allowed(live.target()),
            Look::Dormant(session) => allowed(Target::of(&session)),
            Look::Absent => false,
        };
        if may { Ok(()) } else { Err(self.no_such_session(peer, Action::Login, session).await) }
    }
}
