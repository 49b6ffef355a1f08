//! Which session a peer means.

use tokenkeeper_protocol::request::Selector;
use tokenkeeper_protocol::{Code, Problem, ProviderName, SessionRef, UserName};

use super::Service;
use crate::domain::{Peer, Session, State};
use crate::keeper::KeeperError;
use crate::policy::{Action, Reach, Target, judge};
use crate::vault::Scope;

/// Sessions named when several match.
const NAMED_AT_MOST: usize = 5;
/// Sessions read in one go.
const PAGE: usize = 64;

impl Service {
    /// The session that a selector means, among those that `peer` may use for a token.
    pub(super) async fn find(&self, peer: &Peer, selector: &Selector) -> Result<SessionRef, Problem> {
        match selector {
            Selector::Session(id) => Ok(*id),
            Selector::Only { provider, user } => self.find_only(peer, provider, user.as_ref()).await,
        }
    }

    async fn find_only(
        &self,
        peer: &Peer,
        provider: &ProviderName,
        user: Option<&UserName>,
    ) -> Result<SessionRef, Problem> {
        let permit = judge(&self.in_force.load().rules, peer, Action::Token, Target::Provider(provider));
        let known = self.keeper.providers().contains_key(provider);
        let (Ok(permit), true) = (permit, known) else {
            return Err(self.no_such_provider(peer, Action::Token, provider).await);
        };
        let owner = peer.owner();
        let own = (permit.reach() == Reach::Own).then_some(&owner);
        let scope = match (user, own) {
            (Some(user), _) => Scope::Named(provider, user),
            (None, Some(owner)) => Scope::Owned(owner, Some(provider)),
            (None, None) => Scope::At(provider),
        };
        let usable = |session: &Session| !session.state.is_ended() && own.is_none_or(|own| *own == session.opened_by);
        let matching = self.first_matching(scope, usable).map_err(|error| error.to_problem())?;
        choose(matching, provider, user)
    }

    /// Enough of the matching sessions to know whether it is one, and to name a few if it is not.
    fn first_matching(&self, scope: Scope<'_>, usable: impl Fn(&Session) -> bool) -> Result<Vec<Session>, KeeperError> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.keeper.vault().page(scope, after, PAGE)?;
            found.extend(page.sessions.into_iter().map(|session| session.value).filter(&usable));
            let active = found.iter().filter(|session| session.state.is_active()).count();
            after = page.next;
            if after.is_none() || active > NAMED_AT_MOST {
                return Ok(found);
            }
        }
    }
}

/// One active session is the one. Without any, the one whose user left last is: the answer then says to log in.
fn choose(sessions: Vec<Session>, provider: &ProviderName, user: Option<&UserName>) -> Result<SessionRef, Problem> {
    let (active, waiting): (Vec<_>, Vec<_>) = sessions.into_iter().partition(|session| session.state.is_active());
    match active.as_slice() {
        [only] => return Ok(only.id),
        [] => {}
        several => return Err(ambiguous(several, provider)),
    }
    let since = |session: &Session| match session.state {
        State::NeedsLogin { since, .. } => since,
        _ => session.opened_at,
    };
    match waiting.iter().max_by_key(|session| since(session)) {
        Some(last) => Ok(last.id),
        None => {
            let whose = user.map_or_else(String::new, |user| format!(" of {:?}", user.as_str()));
            let words = format!(
                "there is no session{whose} at {provider} that you may use; run `tokenkeeper login {provider}`"
            );
            Err(Problem::new(Code::NotFound, words))
        }
    }
}

fn ambiguous(sessions: &[Session], provider: &ProviderName) -> Problem {
    let name = |session: &Session| {
        let device = session.device.as_ref().map_or_else(String::new, |device| format!(" on {device:?}"));
        format!("{} ({:?}{device})", session.id, session.user.name.as_str())
    };
    let some: Vec<_> = sessions.iter().take(NAMED_AT_MOST).map(name).collect();
    let more = if sessions.len() > NAMED_AT_MOST { ", and more" } else { "" };
    let words =
        format!("several sessions at {provider} match: {}{more}; choose one with --session or --user", some.join(", "));
    Problem::new(Code::Ambiguous, words)
}
