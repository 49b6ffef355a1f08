//! Replies about the keys of the store. No key is in any of them.

use serde::{Deserialize, Serialize};

/// The keys of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysReply {
    /// Where the identity came from that opened the keyring, such as `systemd credential (TPM2)` or a path.
    pub identity_source: String,
    /// The age recipients whose identities open the keyring too.
    pub recovery_recipients: Vec<String>,
    /// The epoch that records are sealed in.
    pub epoch: u32,
    /// Those before it that records may still be sealed in.
    pub old_epochs: Vec<u32>,
    /// How far it is with sealing everything in the current epoch, unless that is done.
    pub rotation: Option<KeysRotation>,
}

/// How far a rotation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysRotation {
    /// Records that were sealed anew, since the rotation began or the daemon started.
    pub resealed: u64,
    /// Records that the pass under way went through.
    pub seen: u64,
    /// The table that it is in.
    pub table: Option<String>,
    /// Records of old epochs that do not open. As long as there are some, the old keys are kept.
    pub damaged: u64,
    /// Why it does not go on, if so.
    pub trouble: Option<String>,
}

/// The keyring is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysRecovered {
    /// The file that a new identity was written to, if one could be.
    pub identity_file: Option<String>,
    /// What is left to do, in words.
    pub advice: String,
}
