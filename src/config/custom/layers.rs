//! A table over what a shipped profile says: what the administrator writes wins, key by key.
//!
//! What neither of them has is collected, and told in one sentence when all is read.

use std::cell::RefCell;

use crate::config::finding::Place;
use crate::config::keys::Keys;
use crate::config::table::Table;
use crate::config::value::Complaint;

/// One table and the same of the profile.
#[derive(Clone, Debug)]
pub(super) struct Layers<'a> {
    own: Option<Table<'a>>,
    profile: Option<Table<'a>>,
    /// Where findings about the whole are reported.
    outer: Table<'a>,
    /// What the keys are called from outside: `exchange.`.
    prefix: String,
    missing: &'a RefCell<Vec<String>>,
}

impl<'a> Layers<'a> {
    /// A provider's table.
    pub(super) fn new(own: Table<'a>, profile: Option<Table<'a>>, missing: &'a RefCell<Vec<String>>) -> Self {
        Self { own: Some(own), profile, outer: own, prefix: String::new(), missing }
    }

    /// A table within, which may be in none, one or both of them. Keys other than `keys` are reported.
    pub(super) fn within(&self, key: &str, keys: &Keys) -> Option<Self> {
        if let Some(own) = self.own.and_then(|own| own.table(key)) {
            own.check_keys(keys);
        }
        self.inside(key)
    }

    /// The same for a table whose keys were checked.
    pub(super) fn inside(&self, key: &str) -> Option<Self> {
        let (own, profile) = (self.own.and_then(|it| it.table(key)), self.profile.and_then(|it| it.table(key)));
        let prefix = format!("{}{key}.", self.prefix);
        (own.is_some() || profile.is_some()).then(|| Self { own, profile, prefix, ..self.clone() })
    }

    /// The table in which `key` stands: the administrator's, or else the profile's.
    pub(super) fn with(&self, key: &str) -> Option<Table<'a>> {
        [self.own, self.profile].into_iter().flatten().find(|table| table.place_of(key).is_some())
    }

    /// A text that `parse` makes sense of.
    pub(super) fn parsed<T>(&self, key: &str, parse: impl FnOnce(&str) -> Result<T, Complaint>) -> Option<T> {
        self.with(key)?.parsed(key, parse)
    }

    /// The same, for a key that must be there.
    pub(super) fn required<T>(&self, key: &str, parse: impl FnOnce(&str) -> Result<T, Complaint>) -> Option<T> {
        let Some(table) = self.with(key) else {
            self.lacks(key);
            return None;
        };
        table.parsed(key, parse)
    }

    /// An array of texts; none if it is not there.
    pub(super) fn list<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, Complaint>) -> Vec<T> {
        self.with(key).and_then(|table| table.list(key, parse)).unwrap_or_default()
    }

    /// A table that is taken as a whole from where it stands.
    pub(super) fn whole(&self, key: &str) -> Option<Table<'a>> {
        self.with(key)?.table(key)
    }

    /// Notes that `key` must be there and is not.
    pub(super) fn lacks(&self, key: &str) {
        let key = format!("{}{key}", self.prefix);
        let mut missing = self.missing.borrow_mut();
        if !missing.contains(&key) {
            missing.push(key);
        }
    }

    /// Reports `message` about `key`, as near to it as the administrator's file has anything.
    pub(super) fn error(&self, key: &str, message: impl Into<String>) {
        self.outer.error(self.near(key), message);
    }

    /// The same, as something that may be meant.
    pub(super) fn warning(&self, key: &str, message: impl Into<String>) {
        self.outer.warning(self.near(key), message);
    }

    /// What `key` is called from outside.
    pub(super) fn name_of(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn near(&self, key: &str) -> Place {
        let own = self.own.unwrap_or(self.outer);
        own.place_of(key).unwrap_or_else(|| own.place())
    }
}
