//! The typed store of sessions: sealing and storing in one.
//!
//! Invariant: nothing of a user is written in the clear. Values are sealed records bound to their place; index keys
//! hold keyed hashes only. Every change is one [`Change`], committed as one synced batch.

mod agreement;
mod anchor;
mod backup;
mod bindings;
mod census;
mod change;
mod clock;
mod erasure;
mod error;
mod history;
mod index;
mod intents;
mod logins;
mod migrate;
mod moved_out;
mod open;
mod outbox;
mod outlook;
mod quarantine;
mod record;
mod reseal;
mod reuse;
mod rotation;
mod sessions;
mod stats;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::audit::{Counters, Counts, Waker};
use crate::seal::Keyring;
use crate::store::Store;

pub use agreement::{Disagreement, Entry};
pub use anchor::NotGenuine;
pub use backup::{BackedUp, BackupError, Content};
pub use bindings::Binding;
pub use change::Change;
pub use erasure::{Bound, Erasure, ErasureId, Person, Stage, Whose};
pub use error::VaultError;
pub use history::History;
pub use intents::Intent;
pub use logins::{DoneLogin, PendingLogin};
pub use migrate::Migrating;
pub use moved_out::MovedOut;
pub use outlook::Outlook;
pub use quarantine::Rollback;
pub use record::Versioned;
pub use reuse::{Grace, Reuse};
pub use rotation::{BeginError, Progress, Rotation};
pub use sessions::{AgendaItem, Page, Scope, StateCounts};
pub use stats::Care;
pub use verify::{Cursor, Finding, Verified};

/// The store and the keys that open it.
pub struct Vault {
    store: Arc<dyn Store>,
    keyring: ArcSwap<Keyring>,
    /// Keyrings that were replaced. One that lives still seals what is not written yet.
    replaced: Mutex<Vec<Weak<Keyring>>>,
    /// The next sequence number of the audit outbox.
    outbox_next: AtomicU64,
    /// The oldest event in it, when it was last read; the next one, if there was none.
    outbox_read: AtomicU64,
    /// Whether the outbox was found full.
    outbox_full: AtomicBool,
    /// What was written of since the start.
    counts: Counters,
    /// What is added to the generation of the store: it was put back.
    lift: AtomicU64,
    /// That the store was put back, until somebody accepts it.
    rollback: ArcSwapOption<Rollback>,
    /// That the store was moved to another host, until somebody cancels it.
    moved_out: ArcSwapOption<MovedOut>,
    /// Why the generation cannot be anchored, if so.
    anchor_fault: Mutex<Option<String>>,
    /// Index entries that were found not to fit their records, since the start.
    disagreements: AtomicU64,
    /// Sessions by state, as far as known.
    census: census::Census,
    /// Woken when a batch with audit events was written.
    relay: OnceLock<Waker>,
}

impl Vault {
    /// Bytes that the store takes on disk.
    pub fn bytes_on_disk(&self) -> u64 {
        self.store.bytes_on_disk()
    }

    /// How often the disk was waited for since the start.
    pub fn syncs(&self) -> u64 {
        self.store.syncs()
    }

    /// The epoch that new records are sealed under.
    pub fn epoch(&self) -> u32 {
        self.keyring.load().epoch()
    }

    /// What happened since the start, by the audit events that were written.
    pub fn counts(&self) -> Counts {
        self.counts.read()
    }

    /// Why the store takes no writes, if so.
    pub fn fault(&self) -> Option<String> {
        self.store.fault()
    }

    /// Resolves when the store has healed: what was read before is old.
    pub async fn reopened(&self) {
        self.store.reopened().await;
        self.census.forget();
        if let Err(error) = self.find_moved_out().and_then(|()| self.find_rollback()) {
            tracing::error!(%error, "whether the store was moved out or put back cannot be read");
        }
    }

    /// Tells the relay of every batch that holds audit events from now on.
    pub fn wake_on_events(&self, relay: Waker) {
        // A second relay would be a wiring mistake; the first one keeps being woken.
        let _ = self.relay.set(relay);
    }
}
