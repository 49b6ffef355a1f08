//! The local process at the other end of the socket, and the owner it makes of the sessions it opens.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who is asking. Frozen by the kernel when the peer connected.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Whose sessions this peer opens: those of its unit if it runs in a system service, else those of its user.
    pub fn owner(&self) -> Owner {
        self.unit.clone().map_or(Owner::Uid(self.uid), Owner::Unit)
    }
}

impl Peer {
    /// What the peer is called where it does not matter which of its processes it was.
    pub fn name(&self) -> String {
        match &self.unit {
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
    /// A system service.
    Unit(String),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "uid {uid}"),
            Self::Unit(unit) => f.write_str(unit),
        }
    }
}
