//! `tokenkeeperd restore`: fills an empty store from a backup. It has the store to itself, so nothing is served meanwhile.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenkeeper_protocol::Secret;
use tokenkeeper_protocol::json::rfc3339;

use super::anchor::Anchors;
use super::log::say;
use super::{Options, StartError, keys, start};
use crate::clock::Clock;
use crate::config::{Environment, load};
use crate::seal::{HostIdentity, SealError, decrypt_with};
use crate::vault::{BackupError, Content};

/// An identity with its comments takes less than 300 bytes.
const MAX_IDENTITY: u64 = 4096;

/// What is restored, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// The backup.
    pub file: PathBuf,
    /// The age identity that opens it.
    pub identity_file: PathBuf,
    /// Use its refresh tokens as if they were new.
    pub try_stale: bool,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its end is missing, or something in it is not as it was written.
    #[error("{path} cannot be read to its end: {source}; it was cut short or changed: take another copy of the file")]
    Broken {
        /// The backup.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The identity is none.
    #[error("{path} holds no age identity: {source}")]
    NotAnIdentity {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SealError,
    },
    /// The backup is not one that can be restored, or not here.
    #[error("{path} is not restored: {source}")]
    Refused {
        /// The backup.
        path: PathBuf,
        /// Why.
        source: BackupError,
    },
}

/// Does it, and says in a few lines what was done.
pub(super) async fn restore(options: &Options, restore: &Restore) -> Result<(), StartError> {
    let environment = Environment::of_process();
    let loaded = load(&options.source(), &environment)?;
    let Restore { file, identity_file, try_stale } = restore;
    let identity = read_identity(identity_file)?;
    let refused = |why| match why {
        BackupError::Stream(source) => RestoreError::Broken { path: file.clone(), source },
        source => RestoreError::Refused { path: file.clone(), source },
    };
    // Before anything is made or written: the whole file is one backup.
    let content = Content::check(open(file, &identity)?).map_err(refused)?;
    let settings = &loaded.settings.daemon;
    start::make_private(&settings.state_dir)?;
    let opened = keys::open(settings, &environment).await?;
    let lines = open(file, &identity)?;
    let now = Clock::system().now();
    let is_fresh = *try_stale || content.is_fresh(now);
    opened.vault.restore(content, lines, is_fresh, now).await.map_err(refused)?;
    // Those of a store that was here before would not be of this one.
    Arc::new(Anchors::new(opened.vault, settings)).catch_up().await;
    say(format_args!("{} sessions are restored. Start the daemon.", content.sessions));
    if content.is_move {
        say("The store that they were moved out of must not be used again, and neither must this file.");
    } else {
        let at = rfc3339(content.at);
        say(format_args!(
            "The backup is of {at}. Who was erased since then is back: erase them again (`tokenkeeper erase`)."
        ));
    }
    if !is_fresh {
        say(
            "Their refresh tokens may have been spent since: each is tried when its access token has expired. If you know that \
             nothing was refreshed since, run: tokenkeeper store accept-rollback",
        );
    }
    Ok(())
}

fn read_identity(path: &Path) -> Result<HostIdentity, RestoreError> {
    use std::io::Read as _;
    let unreadable = |source| RestoreError::Unreadable { path: path.to_owned(), source };
    let mut text = zeroize::Zeroizing::new(String::with_capacity(2 * 4096));
    File::open(path).and_then(|file| file.take(MAX_IDENTITY).read_to_string(&mut text)).map_err(unreadable)?;
    let secret = Secret::from(text.as_str());
    HostIdentity::parse(secret.expose()).map_err(|source| RestoreError::NotAnIdentity { path: path.to_owned(), source })
}

fn open(path: &Path, identity: &HostIdentity) -> Result<impl BufRead + use<>, RestoreError> {
    let opened = File::open(path).and_then(|file| decrypt_with(identity, BufReader::new(file)));
    opened.map(BufReader::new).map_err(|source| RestoreError::Unreadable { path: path.to_owned(), source })
}
