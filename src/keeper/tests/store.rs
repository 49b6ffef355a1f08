//! A store in memory that takes writes when it is in the mood.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, oneshot};

use crate::store::{Batch, MemoryStore, Overlay, Store as _, StoreError, Table, Written};

pub(crate) struct Moody {
    inner: Arc<MemoryStore>,
    /// Writes that it will still take.
    writes_left: AtomicUsize,
    healed: Notify,
    /// Writes to this table wait until they are let go.
    holding: Mutex<Option<Table>>,
    held: Mutex<VecDeque<oneshot::Sender<()>>>,
    /// The next write to this table panics.
    panicking: Mutex<Option<Table>>,
}

impl Default for Moody {
    fn default() -> Self {
        Self {
            inner: Arc::new(MemoryStore::new()),
            writes_left: AtomicUsize::new(usize::MAX),
            healed: Notify::new(),
            holding: Mutex::default(),
            held: Mutex::default(),
            panicking: Mutex::default(),
        }
    }
}

impl Moody {
    /// From now on only so many writes are taken.
    pub(crate) fn take_only(&self, writes: usize) {
        self.writes_left.store(writes, Ordering::SeqCst);
    }

    /// The next write to `table` panics.
    pub(crate) fn panic_at(&self, table: Table) {
        *self.panicking.lock().unwrap() = Some(table);
    }

    pub(crate) fn recover(&self) {
        self.take_only(usize::MAX);
        self.healed.notify_one();
    }
}

/// Writes that wait.
impl Moody {
    /// From now on whatever is written to `table` waits.
    pub(crate) fn hold(&self, table: Table) {
        *self.holding.lock().unwrap() = Some(table);
    }

    /// How many writes wait.
    pub(crate) fn held(&self) -> usize {
        self.held.lock().unwrap().len()
    }

    /// Lets one write go.
    pub(crate) fn let_go(&self) {
        if let Some(write) = self.held.lock().unwrap().pop_front() {
            write.send(()).ok();
        }
    }

    /// Lets all go, and those to come.
    pub(crate) fn let_all_go(&self) {
        *self.holding.lock().unwrap() = None;
        self.held.lock().unwrap().clear();
    }
}

impl Overlay for Moody {
    type Beneath = MemoryStore;

    fn beneath(&self) -> &MemoryStore {
        &self.inner
    }

    fn write_if(&self, batch: Batch) -> Written {
        let panics = self.panicking.lock().unwrap().take_if(|table| batch.touches(*table)).is_some();
        assert!(!panics, "as it was told to");
        let one_less = |left: usize| left.checked_sub(1);
        match self.writes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less) {
            Ok(_) if self.holding.lock().unwrap().is_some_and(|table| batch.touches(table)) => {
                let (go, gone) = oneshot::channel();
                self.held.lock().unwrap().push_back(go);
                let inner = Arc::clone(&self.inner);
                Box::pin(async move {
                    gone.await.ok();
                    inner.write_if(batch).await
                })
            }
            Ok(_) => self.inner.write_if(batch),
            Err(_) => Box::pin(std::future::ready(Err(StoreError::Unwritable("no space left".to_owned())))),
        }
    }

    fn fault(&self) -> Option<String> {
        (self.writes_left.load(Ordering::SeqCst) == 0).then(|| "no space left".to_owned())
    }

    fn reopened(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.healed.notified())
    }
}
