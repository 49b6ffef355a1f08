//! Why the daemon did not start, in words for an administrator and a status for systemd.

use std::io;
use std::path::PathBuf;

use super::RestoreError;
use super::setup::CredentialError;
use crate::audit::OutboxError;
use crate::config::ConfigErrors;
use crate::ipc::ListenError;
use crate::keeper::KeeperError;
use crate::provider::SetupError;
use crate::schedule::CronError;
use crate::seal::{IdentityError, KeptError, SealError};
use crate::store::StoreError;
use crate::vault::VaultError;

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong; the display form is one line for each error.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A provider cannot be set up from its configuration.
    #[error(transparent)]
    Provider(#[from] SetupError),
    /// The identity that opens the keyring is missing or wrong.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A backup is not restored.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// What was brought to open the keyring is no identity.
    #[error(transparent)]
    NotAnIdentity(SealError),
    /// The keyring does not open.
    #[error(transparent)]
    Keyring(#[from] KeptError),
    /// There is no identity, and what it opened needs it.
    #[error(
        "the keyring {keyring} is there, and the identity that opens it is not; put it back, or start the daemon and run: tokenkeeper keys recover"
    )]
    IdentityLost {
        /// The keyring.
        keyring: PathBuf,
    },
    /// systemd does not keep the identity.
    #[error("{0}")]
    Credential(#[from] CredentialError),
    /// There is a store, and no keyring for it.
    #[error(
        "there is a store in {dir}, and its keyring.age is missing; restore the file, or move the store away to begin anew"
    )]
    KeyringMissing {
        /// The state directory.
        dir: PathBuf,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is in the store cannot be opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Refreshes that the last run left cannot be settled.
    #[error(transparent)]
    Recovery(#[from] KeeperError),
    /// There is no socket to listen on.
    #[error(transparent)]
    Socket(#[from] ListenError),
    /// The cron jobs cannot be set up.
    #[error(transparent)]
    Schedule(#[from] CronError),
    /// The outbox cannot be read.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The state directory cannot be used.
    #[error("the state directory {path} cannot be used: {source}; {}", remedy(source))]
    StateDirectory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The state directory lets others in.
    #[error(
        "the state directory {path} is not the daemon's alone (owner uid {owner}, mode {mode:04o}); run: chown {uid} {path}; chmod 700 {path}"
    )]
    StateDirectoryOpen {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Its permission bits.
        mode: u32,
        /// Whose it should be.
        uid: u32,
    },
    /// The operating system refused something that every process needs.
    #[error("the process cannot be set up: {0}")]
    Process(io::Error),
}

impl StartError {
    /// What is printed: configuration errors stand for themselves, so that editors find their lines.
    pub fn words(&self) -> String {
        match self {
            Self::Config(errors) => errors.to_string(),
            other => format!("tokenkeeperd: {other}"),
        }
    }

    /// The same in one line, for status and audit.
    pub fn first(&self) -> String {
        match self {
            Self::Config(errors) => errors.first(),
            other => other.to_string(),
        }
    }

    /// Whether the keys cannot be opened, so that another identity, or a mended one, helps. A keyring of a newer version is
    /// opened by that version only.
    pub fn is_about_keys(&self) -> bool {
        match self {
            Self::Keyring(KeptError::Unusable { source: SealError::NewerKeyring { .. }, .. }) => false,
            Self::Identity(_)
            | Self::Keyring(_)
            | Self::KeyringMissing { .. }
            | Self::Vault(VaultError::ForeignKeyring) => true,
            _ => false,
        }
    }

    /// From sysexits: 78 for what an administrator has to mend, 75 for what another process holds, 74 for the rest.
    pub fn exit_status(&self) -> u8 {
        const CONFIGURATION: u8 = 78;
        const TRY_LATER: u8 = 75;
        const INPUT_OUTPUT: u8 = 74;
        match self {
            Self::Store(StoreError::Locked { .. }) | Self::Socket(ListenError::InUse { .. }) => TRY_LATER,
            Self::Config(_)
            | Self::Provider(_)
            | Self::Identity(_)
            | Self::Keyring(_)
            | Self::NotAnIdentity(_)
            | Self::IdentityLost { .. }
            | Self::Credential(_)
            | Self::KeyringMissing { .. }
            | Self::StateDirectoryOpen { .. }
            | Self::Vault(VaultError::ForeignKeyring | VaultError::HalfRestored)
            | Self::Store(StoreError::NewerSchema { .. }) => CONFIGURATION,
            _ => INPUT_OUTPUT,
        }
    }
}

/// What helps against an error of the file system.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => "mount its file system writable, or set another state_dir",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on its file system",
        _ => "it has to be a directory that the daemon's user, and nobody else, may enter and write to",
    }
}
