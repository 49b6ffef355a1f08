//! An `[[allow]]` of the configuration.

use std::fmt;
use std::str::FromStr;

use tokenkeeper_protocol::ProviderName;

/// All rules in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(pub Vec<Rule>);

/// One rule. It only ever allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whom it is about.
    pub who: Who,
    /// What they may do.
    pub may: Vec<Action>,
    /// At which provider; `None` is the configuration's explicit `"*"`.
    pub provider: Option<ProviderName>,
    /// On whose sessions.
    pub reach: Reach,
    /// Where it stands, such as `corp.toml:12`, for those who ask why.
    pub source: String,
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
}

/// On whose sessions a rule allows something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// On those that the peer's unit or user opened.
    Own,
    /// On all of the provider.
    All,
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
    /// End sessions.
    Logout = "logout",
    /// End sessions, for those who look after the host.
    Manage = "manage",
    /// See how the daemon is doing.
    Status = "status",
}

impl Action {
    /// Whether it is about the daemon as a whole, so that a rule for it needs no provider.
    pub fn is_global(self) -> bool {
        self == Self::Status
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
