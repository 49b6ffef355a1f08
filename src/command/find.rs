//! Which session a peer means.

use tokenkeeper_protocol::request::Selector;
use tokenkeeper_protocol::{Code, Problem, ProviderName, SessionRef, UnixSeconds, UserName};

use super::Service;
use super::reach::Seeker;
use crate::domain::{Peer, Session, State};
use crate::keeper::KeeperError;
use crate::policy::{Action, Target, judge};
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
        let in_force = self.in_force.load_full();
        let owner = peer.owner();
        let seeker = Seeker { peer, owner: &owner, in_force: &in_force };
        let scopes = match user {
            Some(user) => vec![Scope::Named(provider, user)],
            None => seeker.scopes(&permit, Some(provider)),
        };
        let usable = |session: &Session| !session.state.is_ended() && self.may(peer, Action::Token, session);
        let matching = self.first_matching(&scopes, usable).await.map_err(|error| error.to_problem())?;
        choose(&matching, provider, user)
    }

    /// Enough of the matching sessions to know whether it is one, and to name a few if it is not.
    async fn first_matching(
        &self,
        scopes: &[Scope<'_>],
        usable: impl Fn(&Session) -> bool,
    ) -> Result<Matching, KeeperError> {
        let (mut matching, mut after) = (Matching::default(), None);
        loop {
            let page = self.keeper.vault().page_of_all(scopes, after, PAGE)?;
            for session in page.sessions.into_iter().map(|session| session.value).filter(&usable) {
                matching.add(session);
            }
            after = page.next;
            if after.is_none() || matching.active.len() > NAMED_AT_MOST {
                return Ok(matching);
            }
            // There may be many that do not match: others are served in between.
            tokio::task::yield_now().await;
        }
    }
}

/// What was found: at most a page of active sessions, and one of those that wait for their user.
#[derive(Default)]
struct Matching {
    active: Vec<Session>,
    last_waiting: Option<(UnixSeconds, SessionRef)>,
}

impl Matching {
    fn add(&mut self, session: Session) {
        match session.state {
            State::Active => self.active.push(session),
            State::NeedsLogin { since, .. } | State::Ended { since, .. } => {
                self.last_waiting = self.last_waiting.max(Some((since, session.id)));
            }
        }
    }
}

/// One active session is the one. Without any, the one whose user left last is: the answer then says to log in.
fn choose(matching: &Matching, provider: &ProviderName, user: Option<&UserName>) -> Result<SessionRef, Problem> {
    match matching.active.as_slice() {
        [only] => return Ok(only.id),
        [] => {}
        several => return Err(ambiguous(several, provider)),
    }
    let last_waiting = matching.last_waiting.map(|(_, session)| session);
    last_waiting.ok_or_else(|| {
        let whose = user.map_or_else(String::new, |user| format!(" of {:?}", user.as_str()));
        let words =
            format!("there is no session{whose} at {provider} that you may use; run `tokenkeeper login {provider}`");
        Problem::new(Code::NotFound, words)
    })
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
