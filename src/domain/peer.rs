//! The local process at the other end of the socket, and the owner it makes of the sessions it opens.

use std::fmt;

use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::AccountName;

/// Who is asking. Frozen by the kernel when the peer connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Effective user.
    pub uid: u32,
    /// Effective group and all supplementary ones.
    pub gids: Vec<u32>,
    /// Process, for people; it may be gone and its number reused.
    pub pid: i32,
    /// The systemd system unit the process belongs to, such as `shop.service`.
    pub unit: Option<String>,
}

impl Peer {
    /// In the place of a user where there is none, such as in a question about a unit as a whole. No process has this number.
    pub const NO_USER: u32 = u32::MAX;

    /// Whose sessions this peer opens: those of its user, and apart from them those of its user in a system service.
    pub fn owner(&self) -> Owner {
        let uid = self.uid;
        self.unit.clone().map_or(Owner::Uid(uid), |unit| Owner::Unit { unit, uid })
    }

    /// Whether it is of this owner.
    pub fn is(&self, owner: &Owner) -> bool {
        match owner {
            Owner::Uid(uid) => self.unit.is_none() && self.uid == *uid,
            Owner::Unit { uid, .. } => self.is_of_unit_of(owner) && self.uid == *uid,
            Owner::Account(_) => false,
        }
    }

    /// Whether it runs in the system service of this owner, as whichever user.
    pub fn is_of_unit_of(&self, owner: &Owner) -> bool {
        matches!(owner, Owner::Unit { unit, .. } if self.unit.as_ref() == Some(unit))
    }

    /// What the peer is called where it does not matter which of its processes it was.
    pub fn name(&self) -> String {
        match &self.unit {
            Some(unit) if self.uid == Self::NO_USER => unit.clone(),
            Some(unit) => format!("{unit} (uid {})", self.uid),
            None => format!("uid {}", self.uid),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unit {
            Some(unit) => write!(f, "{unit} (uid {}, pid {})", self.uid, self.pid),
            None => write!(f, "uid {} (pid {})", self.uid, self.pid),
        }
    }
}

/// To whom a session belongs, in the sense of `sessions = "own"`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Owner {
    /// A local user.
    Uid(u32),
    /// A local user in a system service. The user belongs to it: in some services, such as cron, many users run what they like.
    Unit {
        /// The name of the unit.
        unit: String,
        /// The user.
        uid: u32,
    },
    /// A service account of the configuration.
    Account(AccountName),
}

impl Owner {
    /// Who opened every service account, in words: there is one owner for all of them.
    pub const CONFIGURATION: &str = "config";
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "uid {uid}"),
            Self::Unit { unit, .. } => f.write_str(unit),
            Self::Account(_) => f.write_str(Self::CONFIGURATION),
        }
    }
}
