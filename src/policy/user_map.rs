//! Which users at a provider a Unix user is: `[user_map]`.

use std::collections::{BTreeMap, BTreeSet};

use tokenkeeper_protocol::{ProviderName, UserName};

/// The names of Unix users at providers. A name is bound to one subject at its first login, so it stands for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserMap(BTreeMap<ProviderName, BTreeMap<u32, BTreeSet<UserName>>>);

impl UserMap {
    /// Adds that `uid` is called `name` at `provider`.
    pub fn add(&mut self, provider: ProviderName, uid: u32, name: UserName) {
        self.0.entry(provider).or_default().entry(uid).or_default().insert(name);
    }

    /// Whether `uid` is called `name` at `provider`.
    pub fn maps(&self, provider: &ProviderName, uid: u32, name: &UserName) -> bool {
        self.0.get(provider).and_then(|users| users.get(&uid)).is_some_and(|names| names.contains(name))
    }

    /// All names of `uid`, at one provider or at any.
    pub fn names_of<'a>(
        &'a self,
        uid: u32,
        at: Option<&'a ProviderName>,
    ) -> impl Iterator<Item = (&'a ProviderName, &'a UserName)> {
        let providers = self.0.iter().filter(move |(provider, _)| at.is_none_or(|only| only == *provider));
        let names = providers.filter_map(move |(provider, users)| Some((provider, users.get(&uid)?)));
        names.flat_map(|(provider, names)| names.iter().map(move |name| (provider, name)))
    }

    /// Whether nobody is mapped, at one provider or at any.
    pub fn is_empty_at(&self, at: Option<&ProviderName>) -> bool {
        at.map_or_else(|| self.0.is_empty(), |provider| !self.0.contains_key(provider))
    }
}
