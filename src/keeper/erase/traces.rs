//! How to tell that a login is about somebody who is erased.

use std::collections::BTreeSet;

use tokenkeeper_protocol::{ProviderName, SessionRef, UserName};

use crate::domain::{Session, Way};
use crate::vault::{PendingLogin, Person, Whose};

/// What a login may hold of somebody.
pub(super) struct Traces {
    provider: ProviderName,
    sessions: BTreeSet<SessionRef>,
    person: Option<Person>,
    /// What the user is called: names, addresses, the subject.
    called: BTreeSet<String>,
}

impl Traces {
    /// Those of sessions and of bound names. Of one session alone, only the logins that renew it or answer with it.
    pub(super) fn of(
        provider: &ProviderName,
        whose: &Whose,
        sessions: &[Session],
        names: impl Iterator<Item = UserName>,
    ) -> Self {
        let mut called: BTreeSet<_> = names.map(|name| name.to_string()).collect();
        let person = match whose {
            Whose::Session(_) => None,
            Whose::User(person) => {
                called.insert(person.subject.clone());
                called.extend(sessions.iter().map(|session| session.user.name.to_string()));
                called.extend(sessions.iter().filter_map(|session| session.user.email.clone()));
                Some(person.clone())
            }
        };
        let sessions = sessions.iter().map(|session| session.id).collect();
        Self { provider: provider.clone(), sessions, person, called }
    }

    /// Whether a login is about them.
    pub(super) fn are_in(&self, login: &PendingLogin) -> bool {
        let answered = login.done.as_ref().map(|done| &done.answer);
        let is_one_of = |session: &SessionRef| self.sessions.contains(session);
        if login.replaces.as_ref().is_some_and(is_one_of) || answered.is_some_and(|it| is_one_of(&it.session)) {
            return true;
        }
        if login.provider != self.provider {
            return false;
        }
        let is_person = |person: &Person| {
            answered.is_some_and(|it| (&it.user.issuer, &it.user.subject) == (&person.issuer, &person.subject))
        };
        let names = match &login.way {
            Way::Code(flow) | Way::CodeOf(_, flow) => {
                flow.login_hint.as_ref().is_some_and(|hint| self.called.contains(hint))
            }
            Way::Device(flow) => flow.failure.as_ref().is_some_and(|why| self.called.iter().any(|it| why.says(it))),
        };
        self.person.as_ref().is_some_and(is_person) || names
    }
}
