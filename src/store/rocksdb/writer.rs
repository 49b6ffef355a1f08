//! The one thread that writes. It takes what has queued up, judges it in order, and syncs it in one step.
//!
//! Invariant: a batch is judged on what is on the disk *and* on the batches before it in the same group, and nobody is
//! answered before the group is on the disk. After the first failure nothing is written any more.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use futures_util::FutureExt as _;
use tokio::sync::oneshot;

use crate::store::batch::Change;
use crate::store::{Batch, StoreError, Table, Written};

/// Batches that wait; beyond, callers do. Never full in practice: a refresh adds three.
const QUEUE: usize = 1024;

/// Batches that share one sync. Bounds the memory of a group and the wait of its first batch.
const GROUP: usize = 256;

/// Where the thread writes: the disk, and in tests one that fails.
pub(super) trait Target: Send + Sync + 'static {
    /// The version of a row, 0 if there is none.
    fn version(&self, table: Table, key: &[u8]) -> Result<u64, StoreError>;

    /// Makes all changes and the generation durable, or fails.
    fn commit(&self, changes: &[Change], generation: u64) -> Result<(), StoreError>;
}

/// The thread, as those see it who want something written.
pub(super) struct Writer {
    queue: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
    state: Arc<State>,
}

/// A batch, and who waits for it.
struct Order {
    batch: Batch,
    answer: oneshot::Sender<Result<u64, StoreError>>,
}

/// What the thread tells about itself.
struct State {
    generation: AtomicU64,
    fault: OnceLock<String>,
}

impl Writer {
    /// Starts the thread on a target that is at this generation.
    pub(super) fn start(target: Arc<impl Target>, generation: u64) -> io::Result<Self> {
        let (queue, orders) = sync_channel(QUEUE);
        let state = Arc::new(State { generation: AtomicU64::new(generation), fault: OnceLock::new() });
        let shared = Arc::clone(&state);
        let thread =
            thread::Builder::new().name("store-writer".to_owned()).spawn(move || work(&*target, &orders, &shared))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), state })
    }

    /// As [`Store::write_if`](crate::store::Store::write_if).
    pub(super) fn write_if(&self, batch: Batch) -> Written {
        let (answer, answered) = oneshot::channel();
        if let Some(queue) = &self.queue {
            // If the thread is gone, the order is dropped and with it `answer`: the future says so.
            let _ = queue.send(Order { batch, answer });
        }
        async move { answered.await.unwrap_or(Err(StoreError::Closed)) }.boxed()
    }

    /// The generation that is on the disk.
    pub(super) fn generation(&self) -> u64 {
        self.state.generation.load(Ordering::Acquire)
    }

    /// Why nothing is written any more.
    pub(super) fn fault(&self) -> Option<&str> {
        self.state.fault.get().map(String::as_str)
    }
}

impl Drop for Writer {
    /// Waits until everything that was queued is on the disk.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was reported when it happened, and its orders were answered `Closed`.
            let _ = thread.join();
        }
    }
}

fn work(target: &impl Target, orders: &Receiver<Order>, state: &State) {
    while let Ok(first) = orders.recv() {
        let group = std::iter::once(first).chain(orders.try_iter()).take(GROUP).collect();
        write_group(target, group, state);
    }
}

fn write_group(target: &impl Target, orders: Vec<Order>, state: &State) {
    let mut group = Group::new(target, state.generation.load(Ordering::Acquire));
    let mut answers: Vec<_> = orders
        .into_iter()
        .map(|Order { batch, answer }| match state.fault.get() {
            None => (answer, group.add(batch)),
            Some(fault) => (answer, Err(StoreError::Unwritable(fault.clone()))),
        })
        .collect();
    match group.commit() {
        Ok(generation) => state.generation.store(generation, Ordering::Release),
        Err(error) => {
            let fault = state.fault.get_or_init(|| reason(error));
            for (_, outcome) in answers.iter_mut().filter(|(_, outcome)| outcome.is_ok()) {
                *outcome = Err(StoreError::Unwritable(fault.clone()));
            }
        }
    }
    for (answer, outcome) in answers {
        // Whoever dropped the future does not want to know.
        let _ = answer.send(outcome);
    }
}

fn reason(error: StoreError) -> String {
    match error {
        StoreError::Unwritable(reason) => reason,
        other => other.to_string(),
    }
}

/// Batches that will be written together.
struct Group<'a, T> {
    target: &'a T,
    /// Batches in it that met their preconditions.
    accepted: u64,
    generation: u64,
    changes: Vec<Change>,
    /// The versions that rows have once the changes are made.
    versions: HashMap<(Table, Vec<u8>), u64>,
}

impl<'a, T: Target> Group<'a, T> {
    fn new(target: &'a T, generation: u64) -> Self {
        Self { target, accepted: 0, generation, changes: Vec::new(), versions: HashMap::new() }
    }

    /// Adds a batch if its preconditions hold behind the ones before it; the generation it leads to.
    fn add(&mut self, batch: Batch) -> Result<u64, StoreError> {
        let changes = batch.judge(|table, key| match self.versions.get(&(table, key.to_vec())) {
            Some(version) => Ok(*version),
            None => self.target.version(table, key),
        })?;
        for change in &changes {
            let (table, key) = change.row();
            self.versions.insert((table, key.to_vec()), change.version());
        }
        self.changes.extend(changes);
        self.accepted += 1;
        Ok(self.generation + self.accepted)
    }

    /// Writes what was accepted, if anything was; the generation on the disk.
    fn commit(self) -> Result<u64, StoreError> {
        let reached = self.generation + self.accepted;
        if self.accepted > 0 {
            self.target.commit(&self.changes, reached)?;
        }
        Ok(reached)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// A disk that remembers how it was written to, and fails from one write on.
    #[derive(Default)]
    struct Witness {
        rows: Mutex<HashMap<(Table, Vec<u8>), u64>>,
        commits: AtomicUsize,
        good_commits: usize,
    }

    impl Target for Witness {
        fn version(&self, table: Table, key: &[u8]) -> Result<u64, StoreError> {
            Ok(self.rows.lock().unwrap().get(&(table, key.to_vec())).copied().unwrap_or(0))
        }

        fn commit(&self, changes: &[Change], _generation: u64) -> Result<(), StoreError> {
            if self.commits.fetch_add(1, Ordering::SeqCst) >= self.good_commits {
                return Err(StoreError::Unwritable("no space left on device".to_owned()));
            }
            let mut rows = self.rows.lock().unwrap();
            for change in changes {
                let (table, key) = change.row();
                rows.insert((table, key.to_vec()), change.version());
            }
            Ok(())
        }
    }

    fn put(key: &str, expected: u64) -> Batch {
        let mut batch = Batch::default();
        batch.put(Table::Sessions, key, expected, "sealed");
        batch
    }

    fn fresh_state() -> State {
        State { generation: AtomicU64::new(0), fault: OnceLock::new() }
    }

    /// Writes the batches as one group.
    fn write_together(target: &Witness, state: &State, batches: Vec<Batch>) -> Vec<Result<u64, StoreError>> {
        let order = |batch| {
            let (answer, answered) = oneshot::channel();
            (Order { batch, answer }, answered)
        };
        let (orders, answers): (Vec<_>, Vec<_>) = batches.into_iter().map(order).unzip();
        write_group(target, orders, state);
        answers.into_iter().map(|mut answered| answered.try_recv().unwrap()).collect()
    }

    #[test]
    fn a_group_is_judged_in_order_written_once_and_a_loser_in_it_fails_alone() {
        let (target, state) = (Witness { good_commits: 1, ..Witness::default() }, fresh_state());
        let outcomes = write_together(&target, &state, vec![put("a", 0), put("a", 0), put("a", 1), put("b", 0)]);
        assert!(matches!(outcomes[..], [Ok(1), Err(StoreError::Conflict { table: Table::Sessions }), Ok(2), Ok(3)]));
        assert_eq!(target.commits.load(Ordering::SeqCst), 1);
        assert_eq!(target.version(Table::Sessions, b"a").unwrap(), 2);
        assert_eq!(state.generation.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_row_removed_by_an_earlier_batch_of_the_group_is_gone_for_the_later_ones() {
        let (target, state) = (Witness { good_commits: 2, ..Witness::default() }, fresh_state());
        write_together(&target, &state, vec![put("a", 0)]);
        let mut removal = Batch::default();
        removal.delete(Table::Sessions, "a", 1);
        let outcomes = write_together(&target, &state, vec![removal, put("a", 1), put("a", 0)]);
        assert!(matches!(outcomes[..], [Ok(2), Err(StoreError::Conflict { .. }), Ok(3)]));
    }

    #[test]
    fn a_group_of_losers_writes_nothing() {
        let (target, state) = (Witness::default(), fresh_state());
        let outcomes = write_together(&target, &state, vec![put("a", 7), put("b", 7)]);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(StoreError::Conflict { .. }))));
        assert_eq!(target.commits.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn after_a_write_that_failed_nothing_is_written_any_more_and_the_fault_is_told() {
        let target = Arc::new(Witness { good_commits: 1, ..Witness::default() });
        let writer = Writer::start(Arc::clone(&target), 0).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();

        assert_eq!(runtime.block_on(writer.write_if(put("a", 0))).unwrap(), 1);
        assert_eq!(writer.fault(), None);
        for key in ["b", "c"] {
            let error = runtime.block_on(writer.write_if(put(key, 0))).unwrap_err();
            assert!(matches!(error, StoreError::Unwritable(_)), "{error}");
        }

        assert_eq!(target.commits.load(Ordering::SeqCst), 2, "the failed write, and no retry");
        assert_eq!(writer.fault(), Some("no space left on device"));
        assert_eq!(writer.generation(), 1);
    }

    #[test]
    fn what_was_queued_is_written_before_the_writer_is_gone() {
        let target = Arc::new(Witness { good_commits: usize::MAX, ..Witness::default() });
        let writer = Writer::start(Arc::clone(&target), 0).unwrap();
        let _unpolled: Vec<_> = (0..500).map(|number| writer.write_if(put(&number.to_string(), 0))).collect();
        drop(writer);
        assert_eq!(target.rows.lock().unwrap().len(), 500);
    }
}
