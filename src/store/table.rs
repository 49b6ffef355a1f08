//! The tables of the store.

use std::fmt;

/// A table. Its name is permanent: it is that of the column family, and part of what records are sealed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Sessions by their ref.
    Sessions,
    /// Big-endian time and ref: what is due when.
    Due,
    /// Keyed hash of provider and user name, and ref.
    Names,
    /// Keyed hash of provider, issuer and subject, and ref.
    Subjects,
    /// Keyed hash of the peer that opened a session, and ref.
    Owners,
    /// State and ref.
    States,
    /// Keyed hash of provider and user name: to whom the name is bound.
    Bindings,
    /// What is made durable before a refresh token is spent, by ref.
    Intents,
    /// Logins that are under way.
    Logins,
    /// Ref and sequence number: what happened to a session.
    History,
    /// Audit records on their way to syslog.
    Outbox,
    /// What concerns the store as a whole.
    Meta,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 12] = [
        Self::Sessions,
        Self::Due,
        Self::Names,
        Self::Subjects,
        Self::Owners,
        Self::States,
        Self::Bindings,
        Self::Intents,
        Self::Logins,
        Self::History,
        Self::Outbox,
        Self::Meta,
    ];

    /// Those that lead to sessions: their rows are keys alone. What stands in the others is sealed.
    pub const INDEXES: [Self; 5] = [Self::Due, Self::Names, Self::Subjects, Self::Owners, Self::States];

    /// Its permanent name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Due => "due",
            Self::Names => "names",
            Self::Subjects => "subjects",
            Self::Owners => "owners",
            Self::States => "states",
            Self::Bindings => "bindings",
            Self::Intents => "intents",
            Self::Logins => "logins",
            Self::History => "history",
            Self::Outbox => "outbox",
            Self::Meta => "meta",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
