//! Where to look for the sessions that a permit reaches: the narrowest indexes that hold all of them, and maybe others.

use tokenkeeper_protocol::ProviderName;

use super::InForce;
use crate::domain::{Owner, Peer};
use crate::policy::Permit;
use crate::vault::Scope;

/// Whoever looks for sessions.
pub(super) struct Seeker<'a> {
    pub(super) peer: &'a Peer,
    pub(super) owner: &'a Owner,
    pub(super) in_force: &'a InForce,
}

impl<'a> Seeker<'a> {
    /// What to look through for the sessions at `provider`, or at any. What is found there has to be judged one by one.
    pub(super) fn scopes(&self, permit: &Permit, provider: Option<&'a ProviderName>) -> Vec<Scope<'a>> {
        let reaches = permit.reaches();
        if reaches.all {
            return vec![provider.map_or(Scope::All, Scope::At)];
        }
        let own = reaches.own.then_some(Scope::Owned(self.owner, provider));
        let accounts = reaches.accounts.then_some(Scope::Accounts(provider));
        let mut scopes: Vec<_> = own.into_iter().chain(accounts).collect();
        if reaches.user {
            let names = self.in_force.rules.users.names_of(self.peer.uid, provider);
            scopes.extend(names.map(|(provider, name)| Scope::Named(provider, name)));
        }
        scopes
    }
}
