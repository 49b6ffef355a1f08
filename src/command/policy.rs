//! Who the peer is, and why somebody may do something or not.
//!
//! About oneself everybody may ask, and learns what trying would tell; rules about others, and what others may do, take `manage`.

use tokenkeeper_protocol::reply::{Explanation, Identity, RuleView};
use tokenkeeper_protocol::request::{Explain, ExplainOn, Subject};
use tokenkeeper_protocol::{AccountName, Code, Problem, ProviderName};

use super::Service;
use crate::config::Nobody;
use crate::domain::{Owner, Peer, Session};
use crate::keeper::KeeperError;
use crate::policy::{Action, Obstacle, Question, Target, about, judge};
use crate::vault::Scope;

/// Service accounts read in one go.
const PAGE: usize = 64;

impl Service {
    pub(super) fn who_am_i(&self, peer: &Peer) -> Identity {
        let in_force = self.in_force.load();
        Identity {
            uid: peer.uid,
            gids: peer.gids.clone(),
            pid: peer.pid,
            unit: peer.unit.clone(),
            owner: peer.name(),
            rules: about(&in_force.rules, peer).map(RuleView::from).collect(),
        }
    }

    pub(super) async fn explain(&self, peer: &Peer, request: &Explain) -> Result<Explanation, Problem> {
        let action = request.action.parse::<Action>().map_err(|()| unknown_action(&request.action))?;
        let subject = match &request.subject {
            Some(subject) => subject_of(subject)?,
            None => peer.clone(),
        };
        let asker = Asker { peer, about_itself: request.subject.is_none(), action };
        match &request.on {
            ExplainOn::Daemon => {
                self.may_ask(&asker, Target::Daemon, "the rules").await?;
                Ok(self.explained(
                    &asker,
                    &subject,
                    Target::Daemon,
                    if action.is_global() { "the daemon" } else { "any session" },
                ))
            }
            ExplainOn::Provider(provider) => self.explain_provider(&asker, &subject, provider).await,
            ExplainOn::Session(id) => {
                let found = self.keeper.vault().session(*id).map_err(|error| KeeperError::from(error).to_problem())?;
                let found = found.map(|session| session.value).filter(|session| self.may_know(&asker, session));
                let Some(session) = found else { return Err(self.no_such_session(peer, asker.needs(), *id).await) };
                let named = format!("session {id} at {}", session.provider);
                Ok(self.explained(&asker, &subject, Target::of(&session), &named))
            }
            ExplainOn::Account(name) => {
                let found = self.account_session(name).map_err(|error| error.to_problem())?;
                let Some(session) = found.filter(|session| self.may_know(&asker, session)) else {
                    return Err(self.no_such_account(peer, asker.needs(), name).await);
                };
                let named = format!("the service account {name} at {}", session.provider);
                Ok(self.explained(&asker, &subject, Target::of(&session), &named))
            }
        }
    }

    /// A provider that is not there and one the peer may do nothing at read the same.
    async fn explain_provider(
        &self,
        asker: &Asker<'_>,
        subject: &Peer,
        provider: &ProviderName,
    ) -> Result<Explanation, Problem> {
        let target = Target::Provider(provider);
        let allowed = judge(&self.in_force.load().rules, asker.peer, asker.needs(), target).is_ok();
        let is_missing = !self.keeper.providers().contains_key(provider);
        if (allowed && is_missing) || (!allowed && !asker.about_itself) {
            return Err(self.no_such_provider(asker.peer, asker.needs(), provider).await);
        }
        Ok(self.explained(asker, subject, target, provider.as_str()))
    }

    async fn may_ask(&self, asker: &Asker<'_>, target: Target<'_>, named: &str) -> Result<(), Problem> {
        if asker.about_itself {
            return Ok(());
        }
        self.permit(asker.peer, Action::Manage, target, named).await.map(drop)
    }

    /// Whether the answer may speak of this session: the asker may see it, or do what it asks about.
    fn may_know(&self, asker: &Asker<'_>, session: &Session) -> bool {
        let sees = asker.about_itself && self.may(asker.peer, Action::List, session);
        sees || self.may(asker.peer, asker.needs(), session)
    }

    fn explained(&self, asker: &Asker<'_>, subject: &Peer, target: Target<'_>, named: &str) -> Explanation {
        let in_force = self.in_force.load();
        let sees_all =
            !asker.about_itself || judge(&in_force.rules, asker.peer, Action::Manage, Target::Daemon).is_ok();
        let question = Question { peer: subject, action: asker.action, target };
        question.explain(&in_force.rules, named, |weighed| sees_all || weighed.outcome != Err(Obstacle::OtherPeer))
    }

    /// The session of a service account, if it has one.
    fn account_session(&self, name: &AccountName) -> Result<Option<Session>, KeeperError> {
        let mut after = None;
        loop {
            let page = self.keeper.vault().page(Scope::Accounts(None), after, PAGE)?;
            let is_it =
                |session: &Session| session.opened_by == Owner::Account(name.clone()) && !session.state.is_ended();
            let found = page.sessions.into_iter().map(|session| session.value).find(is_it);
            after = page.next;
            if found.is_some() || after.is_none() {
                return Ok(found);
            }
        }
    }
}

/// Who asks, and about what.
struct Asker<'a> {
    peer: &'a Peer,
    about_itself: bool,
    action: Action,
}

impl Asker<'_> {
    /// What it must be allowed to be answered, and what a refusal is about.
    fn needs(&self) -> Action {
        if self.about_itself { self.action } else { Action::Manage }
    }
}

fn subject_of(subject: &Subject) -> Result<Peer, Problem> {
    let nobody = Nobody::of_host();
    let bad = |why: String| Problem::new(Code::BadRequest, why);
    match subject.uid {
        None if subject.unit.is_none() => return Err(bad("name a user or a unit to explain for".to_owned())),
        Some(uid) if nobody.is_user(uid) || uid == Peer::NO_USER => {
            return Err(bad(format!(
                "uid {uid} stands for nobody in particular: it is turned away whatever the rules say"
            )));
        }
        _ => {}
    }
    let gids = subject.gids.iter().copied().filter(|gid| !nobody.is_group(*gid)).collect();
    Ok(Peer { uid: subject.uid.unwrap_or(Peer::NO_USER), gids, pid: 0, unit: subject.unit.clone() })
}

fn unknown_action(text: &str) -> Problem {
    let known: Vec<_> = Action::ALL.iter().map(|action| action.name()).collect();
    // It may be as long as a frame.
    let text: String = text.chars().take(64).collect();
    Problem::new(Code::BadRequest, format!("there is no action {text:?}; there are: {}", known.join(", ")))
}

#[cfg(test)]
mod tests;
