//! What can go wrong with keys and sealed records. No message holds a key, a plaintext or the content of a file.

use std::io;
use std::path::PathBuf;

/// Why something could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The bytes were not sealed for this place with these keys, or were changed since: do not use the record.
    #[error("the record {key} in {area} was not sealed for this place with these keys, or was changed since")]
    NotGenuine {
        /// The table it was found in.
        area: String,
        /// Its key there, to be read by people.
        key: String,
    },
    /// The record was sealed in an epoch whose key is not in this keyring: find the right keyring.
    #[error(
        "the record {key} in {area} names an epoch that this keyring does not hold; restore the keyring that belongs to the store"
    )]
    UnknownEpoch {
        /// The table it was found in.
        area: String,
        /// Its key there, to be read by people.
        key: String,
    },
    /// The keyring is not encrypted to this identity: supply the right one.
    #[error(
        "the keyring does not open with this identity; supply the identity it was made for, or recover it with a recovery identity"
    )]
    WrongIdentity,
    /// The file is not a keyring, or is damaged: restore it.
    #[error("the keyring file is damaged ({0}); restore it from a backup")]
    DamagedKeyring(&'static str),
    /// A newer version of this program wrote the keyring: install that version.
    #[error(
        "the keyring has format {found}, and this version knows formats up to {known}; install the newer tokenkeeperd again"
    )]
    NewerKeyring {
        /// As the file says.
        found: u32,
        /// The newest this version knows.
        known: u32,
    },
    /// A recovery recipient of the configuration is not one: correct it. Its text is not shown, for people paste the
    /// identity in its place.
    #[error(
        "recovery recipient number {number} is not an age recipient; it begins with \"age1\" and is printed by age-keygen"
    )]
    NotARecipient {
        /// Its place in the list, counted from one.
        number: usize,
    },
    /// The text is not an age identity.
    #[error("not an age identity; it is one line that begins with \"AGE-SECRET-KEY-1\"")]
    NotAnIdentity,
    /// Sealing failed, which only a lack of memory or of randomness can cause.
    #[error("a record could not be sealed")]
    Unsealed(#[source] io::Error),
}

/// Why the file of the keyring cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeptError {
    /// It is not there: restore it.
    #[error("the keyring {path} is missing; restore it from a backup")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is there, and the file system said no.
    #[error(
        "the keyring {path} cannot be read or written: {source}; it has to be a file of the daemon's user, on a disk with room"
    )]
    Inaccessible {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not open.
    #[error("the keyring {path} cannot be used: {source}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SealError,
    },
    /// Somebody else wrote it meanwhile, which only `tokenkeeperd setup --rekey` and a restored backup do: start again with it.
    #[error("the keyring {path} was replaced since it was read; restart the daemon")]
    Replaced {
        /// The file.
        path: PathBuf,
    },
}

/// Why the host identity is not at hand.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// There is none: make one, or hand the old one over.
    #[error("there is no identity at {path}; restore the file, or pass the identity as a systemd credential")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Others can read it: close it.
    #[error("others can read the identity {path} (mode {mode:04o}); run: chmod 0400 {path}")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What is there is not an identity: restore it.
    #[error(
        "{path} holds no age identity: it is one line that begins with \"AGE-SECRET-KEY-1\"; restore it from a backup"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// One is there already, and the keyring may depend on it: move it away first.
    #[error("{path} exists and is not overwritten: the keyring may depend on it; move it away first")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file system said no.
    #[error("the identity {path} cannot be read or written: {source}; check the directory and its owner")]
    Inaccessible {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}
