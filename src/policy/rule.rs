//! An `[[allow]]` of the configuration.

use std::fmt;
use std::str::FromStr;

use tokenkeeper_protocol::{AccountName, ProviderName};

use super::UserMap;

/// All rules in force, and what they are read with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The rules, in the order of the files; those built in come last.
    pub list: Vec<Rule>,
    /// Whose sessions `sessions = "user"` means.
    pub users: UserMap,
}

impl From<Vec<Rule>> for Rules {
    fn from(list: Vec<Rule>) -> Self {
        Self { list, users: UserMap::default() }
    }
}

/// One rule. It only ever allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whom it is about.
    pub who: Who,
    /// What they may do.
    pub may: Vec<Action>,
    /// On what.
    pub on: On,
    /// Where it stands, such as `corp.toml:12`, for those who ask why.
    pub source: String,
}

impl Rule {
    /// Whether it is about `action`. Whoever may end sessions to look after the host may log out of them.
    pub fn names(&self, action: Action) -> bool {
        self.may.contains(&action) || (action == Action::Logout && self.may.contains(&Action::Manage))
    }
}

/// Whom a rule is about. User and group names are looked up when the configuration is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A local user.
    User(u32),
    /// A local group.
    Group(u32),
    /// A system service by the name of its unit.
    Unit(String),
    /// A user or group that the host did not know when the configuration was read, as it was written: nobody.
    Unknown(String),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(uid) => write!(f, "user:{uid}"),
            Self::Group(gid) => write!(f, "group:{gid}"),
            Self::Unit(unit) => write!(f, "unit:{unit}"),
            Self::Unknown(written) => f.write_str(written),
        }
    }
}

/// What a rule is about: the sessions of users, or service accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum On {
    /// Sessions at a provider.
    Sessions {
        /// Which; `None` is the configuration's explicit `"*"`.
        provider: Option<ProviderName>,
        /// Whose.
        reach: Reach,
    },
    /// The service account of this name; `None` is the configuration's explicit `"*"`.
    Account(Option<AccountName>),
}

impl On {
    /// All sessions at all providers, service accounts among them.
    pub const EVERYTHING: Self = Self::Sessions { provider: None, reach: Reach::All };
}

/// On whose sessions a rule allows something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// On those that the peer's unit or user opened.
    Own,
    /// On those whose user the configuration maps to the peer's Unix user, whoever opened them.
    User,
    /// On all of the provider, its service accounts among them.
    All,
}

impl Reach {
    /// Its word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::User => "user",
            Self::All => "all",
        }
    }
}

macro_rules! actions {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// What a rule can allow.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Action {
            /// Every action, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its word in the configuration.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

actions! {
    /// Open a session.
    Login = "login",
    /// Get access tokens.
    Token = "token",
    /// See sessions.
    List = "list",
    /// See what happened to sessions.
    History = "history",
    /// End sessions.
    Logout = "logout",
    /// End sessions, for those who look after the host.
    Manage = "manage",
    /// See how the daemon is doing.
    Status = "status",
    /// See the keys of the store, rotate and recover them.
    Keys = "keys",
    /// Take a backup of all sessions, encrypted to those who may open it.
    Backup = "backup",
    /// Erase what is kept of users.
    Erase = "erase",
}

impl Action {
    /// Whether it is about the daemon as a whole, so that a rule for it needs no provider.
    pub fn is_global(self) -> bool {
        matches!(self, Self::Status | Self::Keys | Self::Backup)
    }
}

impl FromStr for Action {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|action| action.name() == text).ok_or(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
