//! Where to look for the sessions that a permit reaches: the narrowest indexes that hold all of them, and maybe others.

use tokenkeeper_protocol::ProviderName;

use super::InForce;
use crate::domain::{Owner, Peer};
use crate::policy::{On, Permit};
use crate::vault::Scope;

/// The owners that a peer can reach sessions of without reaching all: its own, and service accounts.
pub(super) struct Owners {
    own: Owner,
    accounts: Vec<Owner>,
    /// Whether a rule is about service accounts whatever they are called.
    any_account: bool,
}

impl Owners {
    pub(super) fn within_reach(in_force: &InForce, peer: &Peer) -> Self {
        let rules = || in_force.rules.list.iter().map(|rule| &rule.on);
        let accounts = rules().filter_map(|on| match on {
            On::Account(Some(name)) => Some(Owner::Account(name.clone())),
            _ => None,
        });
        Self {
            own: peer.owner(),
            accounts: accounts.collect(),
            any_account: rules().any(|on| matches!(on, On::Account(None))),
        }
    }

    /// What to look through for the sessions at `provider`, or at any. What is found there has to be judged one by one.
    pub(super) fn scopes<'a>(
        &'a self,
        permit: &Permit,
        peer: &Peer,
        in_force: &'a InForce,
        provider: Option<&'a ProviderName>,
    ) -> Vec<Scope<'a>> {
        let reaches = permit.reaches();
        if reaches.all || (reaches.accounts && self.any_account) {
            return vec![provider.map_or(Scope::All, Scope::At)];
        }
        let mut scopes = Vec::new();
        if reaches.own {
            scopes.push(Scope::Owned(&self.own, provider));
        }
        if reaches.user {
            let names = in_force.rules.users.names_of(peer.uid, provider);
            scopes.extend(names.map(|(provider, name)| Scope::Named(provider, name)));
        }
        if reaches.accounts {
            scopes.extend(self.accounts.iter().map(|account| Scope::Owned(account, provider)));
        }
        scopes
    }
}
