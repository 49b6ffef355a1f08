//! The life of an epoch: a new key is made durable, everything is sealed with it in the background, and then the old one is
//! destroyed.
//!
//! Invariants: nothing is sealed with a key before the key is on the disk; no key is destroyed before a whole pass over the
//! store, begun after the last change that could be sealed with it was written, found no record of it. What is left to do
//! stands in the keyring itself, which has more than one epoch until it is done: so a crash at any point is gone on from.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Vault, VaultError};
use crate::audit::What;
use crate::clock::Clock;
use crate::failpoint::failpoint;
use crate::seal::{KeepKeyring, KeptError};
use crate::store::Table;

/// Rows of a page: one synced write for all that are sealed anew, and little to do again if one of them was changed.
const PAGE: usize = 64;
/// The pause before another look at changes that are on their way.
const SETTLE: Duration = Duration::from_millis(50);
/// The pause after something went wrong.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why no rotation was begun.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// One is under way: wait for its end.
    #[error("a rotation is under way; `tokenkeeper keys show` tells how far it is")]
    UnderWay,
    /// The new key could not be made durable, and is not used.
    #[error(transparent)]
    Kept(#[from] KeptError),
}

/// How far a rotation is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records that were sealed anew since it was begun, or since the start of the daemon.
    pub resealed: u64,
    /// Records that the pass under way went through.
    pub seen: u64,
    /// The table that it is in.
    pub table: Option<&'static str>,
    /// Records of old epochs that do not open. As long as there are some, the old keys stay.
    pub damaged: u64,
    /// Why it does not go on, if so.
    pub trouble: Option<String>,
}

/// Rotates the epochs of a vault.
pub struct Rotation {
    vault: Arc<Vault>,
    kept: Arc<dyn KeepKeyring>,
    clock: Clock,
    /// Records that are sealed anew in a second, at most.
    rate: AtomicU64,
    /// Whether the rate does not count.
    in_a_hurry: AtomicBool,
    /// Held by whoever changes the keyring, for as long as the disk takes.
    writing: Mutex<()>,
    /// Never held while the disk is waited for: who asks how far it is shares a thread with those who are served.
    progress: Mutex<Progress>,
    begun: Notify,
}

/// How a pass ended.
enum Pass {
    Found(u64),
    Stopped,
}

impl Rotation {
    /// For a vault and the place where its keyring is kept.
    pub fn new(vault: Arc<Vault>, kept: Arc<dyn KeepKeyring>, clock: Clock, rate: u64) -> Self {
        let (rate, in_a_hurry) = (AtomicU64::new(rate), AtomicBool::new(false));
        let (writing, progress) = (Mutex::default(), Mutex::default());
        Self { vault, kept, clock, rate, in_a_hurry, writing, progress, begun: Notify::new() }
    }

    /// The epochs that there are keys for, the current one last.
    pub fn epochs(&self) -> Vec<u32> {
        self.vault.keyring().epochs().collect()
    }

    /// The recovery recipients that the keyring is encrypted to.
    pub fn recovery(&self) -> Vec<String> {
        self.kept.recovery()
    }

    /// Encrypts the keyring to these recovery recipients and no others. Blocks for the disk.
    pub fn set_recovery(&self, recovery: &[String]) -> Result<(), KeptError> {
        let _alone = self.write_alone();
        self.kept.set_recovery(&self.vault.keyring(), recovery)
    }

    /// How far it is, if one is under way.
    pub fn progress(&self) -> Option<Progress> {
        (self.epochs().len() > 1).then(|| self.noted().clone())
    }

    /// Seals so many records anew in a second from now on.
    pub fn set_rate(&self, rate: u64) {
        self.rate.store(rate, Ordering::Relaxed);
    }

    /// Goes as fast as it can from now on, or at its rate again.
    pub fn hurry(&self, in_a_hurry: bool) {
        self.in_a_hurry.store(in_a_hurry, Ordering::Relaxed);
    }

    /// Begins a new epoch on behalf of `whom` and returns its number: it is durable, in use and audited. Blocks for the disk.
    pub fn begin_as(&self, whom: &str) -> Result<u32, BeginError> {
        let epoch = self.begin()?;
        let event = What::KeysRotating { peer: whom.to_owned(), epoch };
        futures_executor::block_on(self.record(event));
        Ok(epoch)
    }

    /// The same, unaudited.
    pub(super) fn begin(&self) -> Result<u32, BeginError> {
        // Held throughout: of two who begin one at the same time, the second finds it under way.
        let _alone = self.write_alone();
        let mut keyring = (*self.vault.keyring()).clone();
        if keyring.epochs().count() > 1 && self.noted().damaged == 0 {
            return Err(BeginError::UnderWay);
        }
        let epoch = keyring.begin_epoch();
        failpoint!("rotation.before-new-key");
        self.kept.keep(&keyring)?;
        failpoint!("rotation.new-key-kept");
        *self.noted() = Progress::default();
        self.vault.replace_keyring(keyring);
        tracing::info!(epoch, "a new epoch began: everything is sealed anew");
        self.begun.notify_one();
        Ok(epoch)
    }

    /// Seals anew what has to be, whenever it has to be, until `stop`. One that was interrupted goes on at once.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        if self.epochs().len() > 1 {
            tracing::info!("a rotation of the keys was interrupted, and goes on");
            self.begun.notify_one();
        }
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.begun.notified() => {}
            }
            while self.epochs().len() > 1 && !stop.is_cancelled() {
                match self.finish(&stop).await {
                    Ok(()) => {}
                    Err(error) => {
                        tracing::error!(%error, "the rotation of the keys does not go on; it is tried again");
                        self.noted().trouble = Some(error.to_string());
                        let _ = stop.run_until_cancelled(tokio::time::sleep(PATIENCE)).await;
                    }
                }
                if self.noted().damaged > 0 {
                    tracing::error!(
                        "records of an old epoch do not open, so its key is kept; the next start or rotation tries again"
                    );
                    break;
                }
            }
        }
    }

    /// Passes over the store until one finds nothing; then the old keys go.
    async fn finish(self: &Arc<Self>, stop: &CancellationToken) -> Result<(), FinishError> {
        loop {
            while !self.vault.older_keyrings_are_gone() {
                if stop.run_until_cancelled(tokio::time::sleep(SETTLE)).await.is_none() {
                    return Ok(());
                }
            }
            self.vault.flush().await?;
            match self.pass(stop).await? {
                Pass::Stopped => return Ok(()),
                Pass::Found(0) => break,
                Pass::Found(_) if self.noted().damaged > 0 => return Ok(()),
                Pass::Found(_) => {}
            }
        }
        self.forget().await
    }

    async fn pass(self: &Arc<Self>, stop: &CancellationToken) -> Result<Pass, FinishError> {
        let mut found = 0;
        {
            let mut progress = self.noted();
            (progress.seen, progress.damaged, progress.trouble) = (0, 0, None);
        }
        for table in Table::ALL {
            let mut after = None::<Vec<u8>>;
            loop {
                if stop.is_cancelled() {
                    return Ok(Pass::Stopped);
                }
                let vault = Arc::clone(&self.vault);
                let from = after.take();
                let limit = usize::try_from(self.rate.load(Ordering::Relaxed)).unwrap_or(PAGE).clamp(1, PAGE);
                let page = move || vault.reseal_page(table, from.as_deref(), limit);
                let page = tokio::task::spawn_blocking(page).await.map_err(|_| FinishError::Interrupted)??;
                found += (page.renewed + page.damaged) as u64;
                {
                    let mut progress = self.noted();
                    progress.resealed += page.renewed as u64;
                    progress.seen += page.seen as u64;
                    progress.damaged += page.damaged as u64;
                    progress.table = Some(table.name());
                }
                self.rest(page.renewed, stop).await;
                after = page.last;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(Pass::Found(found))
    }

    /// Pauses so long that so many records in a second are not more than the rate.
    async fn rest(&self, resealed: usize, stop: &CancellationToken) {
        if self.in_a_hurry.load(Ordering::Relaxed) {
            return;
        }
        let rate = u32::try_from(self.rate.load(Ordering::Relaxed).max(1)).unwrap_or(u32::MAX);
        let pause = Duration::from_secs(1) * u32::try_from(resealed).unwrap_or(u32::MAX) / rate;
        let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
    }

    /// Destroys the keys of all epochs but the current one: on the disk, then in memory.
    async fn forget(self: &Arc<Self>) -> Result<(), FinishError> {
        let this = Arc::clone(self);
        let forgotten = tokio::task::spawn_blocking(move || {
            let _alone = this.write_alone();
            let mut keyring = (*this.vault.keyring()).clone();
            keyring.forget_old_epochs();
            failpoint!("rotation.before-old-key-goes");
            this.kept.keep(&keyring)?;
            failpoint!("rotation.old-key-gone");
            let epoch = keyring.epoch();
            this.vault.replace_keyring(keyring);
            Ok::<_, KeptError>(epoch)
        });
        let epoch = forgotten.await.map_err(|_| FinishError::Interrupted)??;
        let resealed = std::mem::take(&mut *self.noted()).resealed;
        tracing::info!(epoch, resealed, "everything is sealed in the new epoch, and the old key is destroyed");
        self.record(What::KeysRotated { epoch }).await;
        Ok(())
    }

    async fn record(&self, what: What) {
        let mut change = self.vault.change(self.clock.now());
        let told = match change.audit(what) {
            Ok(_) => change.commit().await,
            Err(error) => Err(error),
        };
        if let Err(error) = told {
            tracing::error!(%error, "an audit event could not be written");
        }
    }

    fn write_alone(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn noted(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a rotation does not go on for now.
#[derive(Debug, thiserror::Error)]
enum FinishError {
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Kept(#[from] KeptError),
    #[error("a part of it was interrupted")]
    Interrupted,
}
