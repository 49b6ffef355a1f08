//! The generation of the store, written down outside of it: compared at the start, and kept up to date behind every batch.
//!
//! Invariant: an anchor is never ahead of what is durable in the store, so that no crash looks like a rollback. Nobody waits for
//! it: it follows at most once a second. What it means is the vault's; here are the files.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;
use tokio_util::sync::CancellationToken;

use crate::config::DaemonSettings;
use crate::seal::put_durably;
use crate::vault::{Vault, VaultError};

/// Name of the anchor in the state directory.
const ANCHOR: &str = "anchor";
/// The shortest time between two anchors, and with it the longest that a killed daemon's last batches are not anchored.
const PAUSE: Duration = Duration::from_secs(1);

/// Where a store is anchored.
pub(super) struct Anchors {
    vault: Arc<Vault>,
    /// The last one decides when one is gone: whoever puts back the state directory puts back the one in it.
    places: Vec<PathBuf>,
    /// The generation that stands in all of them.
    written: Mutex<Option<u64>>,
    /// Whether the store knows that they are there.
    is_known: AtomicBool,
}

/// What an anchor says.
enum Found {
    Generation(u64),
    Nothing,
    /// It is not what this store wrote.
    Foreign,
    /// Why it cannot be read.
    Unreadable(String),
}

impl Anchors {
    pub(super) fn new(vault: Arc<Vault>, settings: &DaemonSettings) -> Self {
        let inside = settings.state_dir.join(ANCHOR);
        let places = [inside].into_iter().chain(settings.anchor_file.clone()).collect();
        Self { vault, places, written: Mutex::default(), is_known: AtomicBool::new(false) }
    }

    /// Compares the store with its anchors, before anything is done with what is in it. A store that was put back goes into
    /// quarantine.
    pub(super) async fn compare(&self, now: UnixSeconds) -> Result<(), VaultError> {
        let generation = self.vault.generation();
        let found: Vec<_> = self.places.iter().map(|path| self.read(path)).collect();
        let anchored = found.iter().filter_map(Found::generation).max();
        let why = match anchored {
            Some(anchored) if anchored > generation => {
                Some(format!("the store is at generation {generation}, and was at {anchored} already"))
            }
            _ => self.what_is_wrong(&found)?,
        };
        let Some(why) = why else { return Ok(()) };
        tracing::error!(
            "{why}: an old copy of the store was put back. Live tokens are served; a refresh token is only tried when its \
             access token expires. See `tokenkeeper store accept-rollback --help`"
        );
        self.vault.note_rollback(anchored.filter(|anchored| *anchored > generation), why, now).await
    }

    /// Keeps the anchors up to date until `stop`.
    pub(super) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        loop {
            self.catch_up().await;
            if stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                return;
            }
        }
    }

    /// Anchors what is durable now.
    pub(super) async fn catch_up(self: &Arc<Self>) {
        if self.is_written() {
            return;
        }
        let this = Arc::clone(self);
        let written = tokio::task::spawn_blocking(move || this.write()).await;
        let trouble = match written {
            Ok(Ok(())) => self.tell_store().await.err().map(|error| error.to_string()),
            Ok(Err(why)) => Some(why),
            Err(_) => None,
        };
        self.vault.note_anchor(trouble);
    }

    /// What is wrong with the anchor that decides, unless it was never there.
    fn what_is_wrong(&self, found: &[Found]) -> Result<Option<String>, VaultError> {
        let known = self.vault.known_anchors()?;
        for (path, found) in self.places.iter().zip(found) {
            let path = path.display();
            match found {
                Found::Generation(_) => {}
                Found::Nothing => tracing::debug!("there is no anchor at {path}"),
                Found::Foreign => tracing::warn!("the anchor {path} is not that of this store"),
                Found::Unreadable(why) => tracing::warn!("the anchor {path} cannot be read: {why}"),
            }
        }
        let (Some(path), Some(found)) = (self.places.last(), found.last()) else { return Ok(None) };
        let is_known = known.iter().any(|known| Path::new(known) == path);
        let path = path.display();
        Ok(match found {
            Found::Nothing if is_known => Some(format!("the anchor {path} is gone")),
            Found::Unreadable(why) if is_known => Some(format!("the anchor {path} cannot be read: {why}")),
            Found::Foreign if is_known || self.vault.has_sessions()? => {
                Some(format!("the anchor {path} is not that of this store, or damaged"))
            }
            Found::Generation(_) | Found::Nothing | Found::Foreign | Found::Unreadable(_) => None,
        })
    }

    fn read(&self, path: &Path) -> Found {
        match std::fs::read(path) {
            Ok(bytes) => {
                self.vault.read_anchor(&String::from_utf8_lossy(&bytes)).map_or(Found::Foreign, Found::Generation)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Found::Nothing,
            Err(error) => Found::Unreadable(error.to_string()),
        }
    }

    /// Writes what is durable, if it is not there already. Blocks for the disk.
    fn write(&self) -> Result<(), String> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.vault.generation();
        let text = self.vault.write_anchor(generation);
        let mut outcome = Ok(());
        for path in &self.places {
            if let Err(error) = put_durably(path, text.as_bytes(), 0o600) {
                let remedy = remedy(&error);
                outcome = Err(format!("the anchor {} cannot be written: {error}{remedy}", path.display()));
            }
        }
        *written = outcome.is_ok().then_some(generation);
        outcome
    }

    /// Lets the store know where its anchors are, once they are there.
    async fn tell_store(&self) -> Result<(), VaultError> {
        if self.is_known.load(Ordering::Relaxed) {
            return Ok(());
        }
        let places: Vec<_> = self.places.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        if self.vault.known_anchors()? != places {
            self.vault.know_anchors(places).await?;
        }
        self.is_known.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn is_written(&self) -> bool {
        let written = *self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written == Some(self.vault.generation()) && self.is_known.load(Ordering::Relaxed)
    }
}

/// What helps, where it is not the disk.
fn remedy(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            " (its directory has to be there, belong to the daemon's user, and stand in ReadWritePaths= of the unit)"
        }
        _ => "",
    }
}

impl Found {
    fn generation(&self) -> Option<u64> {
        match self {
            Self::Generation(generation) => Some(*generation),
            Self::Nothing | Self::Foreign | Self::Unreadable(_) => None,
        }
    }
}
