//! Moving the store to another host: nothing may be under way at a provider when it leaves, and nothing may begin after it.
//!
//! Invariant: whatever ends in a change of a session holds a permit to work while it lasts. Whoever moves the store waits for the
//! last of them, and from then on there are none. The vault refuses such changes besides, once the store is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokenkeeper_protocol::json::rfc3339;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::{Keeper, KeeperError};
use crate::vault::MovedOut;

/// What is under way has this long to end: longer than a provider is given.
const PATIENCE: Duration = Duration::from_secs(35);

/// Whether anything may be begun.
#[derive(Default)]
pub(super) struct Gate {
    is_closed: AtomicBool,
    work: Arc<RwLock<()>>,
}

/// To be held while something is done that ends in a change of a session.
pub struct Work {
    _permit: OwnedRwLockReadGuard<()>,
}

/// Nothing is under way. When this is dropped and the store was not moved out meanwhile, everything goes on.
pub struct Leaving {
    keeper: Arc<Keeper>,
    alone: Option<OwnedRwLockWriteGuard<()>>,
}

/// Opens the gate again, unless the store is gone.
struct Closed<'a>(Option<&'a Arc<Keeper>>);

impl Keeper {
    /// Whether the store is on its way to another host, or there: nothing is served, and nothing begun. One load.
    pub fn is_leaving(&self) -> bool {
        self.gate.is_closed.load(Ordering::Relaxed)
    }

    /// Leave to begin something that ends in a change of a session.
    ///
    /// # Errors
    /// [`KeeperError::MovingOut`] or [`KeeperError::MovedOut`].
    pub fn begin_work(&self) -> Result<Work, KeeperError> {
        if !self.gate.is_closed.load(Ordering::SeqCst)
            && let Ok(permit) = Arc::clone(&self.gate.work).try_read_owned()
        {
            return Ok(Work { _permit: permit });
        }
        Err(self.why_leaving())
    }

    /// Why nothing is served or begun.
    pub fn why_leaving(&self) -> KeeperError {
        self.vault.moved_out().map_or(KeeperError::MovingOut, |moved| KeeperError::MovedOut { why: in_words(&moved) })
    }

    /// Waits until nothing is under way, and lets nothing begin.
    ///
    /// # Errors
    /// When something does not end, or waits to be written; everything goes on then.
    pub async fn leave(self: &Arc<Self>) -> Result<Leaving, KeeperError> {
        self.gate.is_closed.store(true, Ordering::SeqCst);
        let mut closed = Closed(Some(self));
        let alone = tokio::time::timeout(PATIENCE, Arc::clone(&self.gate.work).write_owned()).await;
        let alone = alone.map_err(|_| KeeperError::NotLeft)?;
        if !self.unwritten.sessions().is_empty() {
            return Err(KeeperError::StoreDown { why: "answers of providers wait to be written".to_owned() });
        }
        closed.0 = None;
        Ok(Leaving { keeper: Arc::clone(self), alone: Some(alone) })
    }

    /// Goes on as after a start, with a store that is not moved out any more.
    pub async fn stay(self: &Arc<Self>) -> Result<(), KeeperError> {
        self.recover().await?;
        self.go_on();
        self.catch_up_with_accounts().await
    }

    /// Takes up what a start finds: the store may have been moved out in another run.
    pub(super) fn find_gate(&self) {
        self.gate.is_closed.store(self.vault.moved_out().is_some(), Ordering::SeqCst);
    }

    fn go_on(self: &Arc<Self>) {
        self.find_gate();
        if self.is_leaving() {
            return;
        }
        if let Err(error) = self.resume_device_logins() {
            tracing::error!(%error, "logins with a code go on when somebody waits for them");
        }
        self.agenda.notify_one();
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        if let Some(keeper) = self.0 {
            keeper.go_on();
        }
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // First: whoever begins something when the gate opens needs a permit.
        self.alone = None;
        self.keeper.go_on();
    }
}

/// That the store is gone, and what an administrator can do about it.
pub fn in_words(moved: &MovedOut) -> String {
    let at = rfc3339(moved.at);
    let taken = if moved.confirmed {
        "its sessions live where it was restored"
    } else {
        "whoever took it did not say that it is safe: take it again with `tokenkeeper store move-out`"
    };
    format!(
        "the store was moved out at {at}: nothing is served or refreshed from it any more, and {taken}. If what left it is used \
         nowhere and never will be, `tokenkeeper store move-out --cancel` brings it back"
    )
}
