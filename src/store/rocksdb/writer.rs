//! The one thread that writes. It takes what has queued up, judges it in order, and syncs it in one step.
//!
//! Invariant: a batch is judged on what is on the disk *and* on the batches before it in the same group, and nobody is
//! answered before the group is on the disk. After a failure nothing is written until the target was revived.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Notify, oneshot};

use super::group::Group;
use crate::clock::Clock;
use crate::failpoint::failpoint;
use crate::store::batch::{Before, Change};
use crate::store::{Batch, StoreError, Written};
use crate::vital::Vital;

/// Batches that wait; beyond, callers do. Never full in practice: a refresh adds three.
const QUEUE: usize = 1024;

/// Batches that share one sync. Bounds the memory of a group and the wait of its first batch.
const GROUP: usize = 256;

/// The first pause between a failure and the try to revive the target; it doubles with every try that fails.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How often a target that is well is looked after.
const TEND_EVERY: Duration = Duration::from_mins(1);

/// Where the thread writes: the disk, and in tests one that fails.
pub(super) trait Target: Before + Send + Sync + 'static {
    /// Makes all changes and the generation durable, or fails.
    fn commit(&self, changes: &[Change], generation: u64) -> Result<(), StoreError>;

    /// After a failed commit: makes the target fit to be written again, if it is; the generation that it is at.
    fn revive(&self) -> Result<u64, StoreError>;

    /// Whether it can be read at all. If not, it is fit to be written only once it was revived.
    fn is_open(&self) -> bool;

    /// While all is well: prepares for when it is not.
    fn tend(&self) {}
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
#[derive(Default)]
struct State {
    generation: AtomicU64,
    syncs: AtomicU64,
    fault: Mutex<Option<String>>,
    revived: Notify,
}

impl State {
    fn is_well(&self) -> bool {
        self.fault().is_none()
    }

    fn fault(&self) -> MutexGuard<'_, Option<String>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Starts the thread on a target that is at this generation.
    pub(super) fn start(target: Arc<impl Target>, generation: u64) -> io::Result<Self> {
        let (queue, orders) = sync_channel(QUEUE);
        let state = Arc::new(State { generation: AtomicU64::new(generation), ..State::default() });
        let shared = Arc::clone(&state);
        let clock = Clock::system();
        let next_look = clock.boot() + TEND_EVERY;
        let worker = Worker { target, orders, state: shared, clock, next_look, pause: TEND_EVERY };
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(|| worker.work())?;
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

    /// Groups that were written.
    pub(super) fn syncs(&self) -> u64 {
        self.state.syncs.load(Ordering::Relaxed)
    }

    /// Why nothing is written at the moment.
    pub(super) fn fault(&self) -> Option<String> {
        self.state.fault().clone()
    }

    /// Resolves when the target was revived.
    pub(super) async fn revived(&self) {
        self.state.revived.notified().await;
    }
}

impl Drop for Writer {
    /// Waits until everything that was queued is on the disk.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // It does not panic, or the process would have ended.
            let _ = thread.join();
        }
    }
}

/// The thread at work.
struct Worker<T> {
    target: Arc<T>,
    orders: Receiver<Order>,
    state: Arc<State>,
    clock: Clock,
    /// Boot time of the next look after the target.
    next_look: Duration,
    pause: Duration,
}

impl<T: Target> Worker<T> {
    /// Works until nobody can order any more.
    fn work(mut self) {
        let _vital = Vital("the thread that writes to the store");
        loop {
            let wait = self.next_look.saturating_sub(self.clock.boot());
            if wait.is_zero() {
                // Also while orders never end.
                self.look_after_target();
                continue;
            }
            match self.orders.recv_timeout(wait) {
                Ok(first) => {
                    self.notice_closed();
                    let group = std::iter::once(first).chain(self.orders.try_iter()).take(GROUP).collect();
                    let was_well = self.state.is_well();
                    write_group(&*self.target, group, &self.state);
                    if was_well && !self.state.is_well() {
                        self.look_again_after(FIRST_PAUSE);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// A target that somebody else had to open anew, and could not, fails whoever reads it. Most batches read before they write, so
    /// no failed write would tell.
    fn notice_closed(&mut self) {
        if self.state.is_well() && !self.target.is_open() {
            tracing::error!("the store is closed, for it could not be opened again; it is tried again by itself");
            *self.state.fault() = Some("it could not be opened again".to_owned());
            self.look_again_after(FIRST_PAUSE);
        }
    }

    fn look_after_target(&mut self) {
        self.notice_closed();
        if self.state.is_well() {
            self.target.tend();
            return self.look_again_after(TEND_EVERY);
        }
        match self.target.revive() {
            Ok(generation) => {
                tracing::info!("the store takes writes again");
                self.state.generation.store(generation, Ordering::Release);
                *self.state.fault() = None;
                self.state.revived.notify_one();
                self.look_again_after(TEND_EVERY);
            }
            Err(error) => {
                *self.state.fault() = Some(reason(error));
                self.look_again_after((2 * self.pause).min(LONGEST_PAUSE));
            }
        }
    }

    fn look_again_after(&mut self, pause: Duration) {
        self.pause = pause;
        self.next_look = self.clock.boot() + pause;
    }
}

fn write_group(target: &impl Target, orders: Vec<Order>, state: &State) {
    let mut group = Group::new(target, state.generation.load(Ordering::Acquire));
    let mut answers: Vec<_> = orders
        .into_iter()
        .map(|Order { batch, answer }| match state.fault().clone() {
            None => (answer, group.add(batch)),
            Some(fault) => (answer, Err(StoreError::Unwritable(fault))),
        })
        .collect();
    match group.commit() {
        Ok(generation) => {
            let before = state.generation.swap(generation, Ordering::AcqRel);
            state.syncs.fetch_add(u64::from(before != generation), Ordering::Relaxed);
        }
        Err(error) => {
            let fault = reason(error);
            tracing::error!("the store cannot be written: {fault}; it is tried again by itself");
            *state.fault() = Some(fault.clone());
            for (_, outcome) in answers.iter_mut().filter(|(_, outcome)| outcome.is_ok()) {
                *outcome = Err(StoreError::Unwritable(fault.clone()));
            }
        }
    }
    failpoint!("store.before-answers");
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::store::{Row, Table};

    /// A disk that remembers how it was written to, and fails from one write on.
    #[derive(Default)]
    struct Witness {
        rows: Mutex<HashMap<(Table, Vec<u8>), u64>>,
        commits: AtomicUsize,
        good_commits: usize,
        revivals: AtomicUsize,
        good_again_after: Option<usize>,
    }

    impl Before for Witness {
        fn version(&self, table: Table, key: &[u8]) -> Result<u64, StoreError> {
            Ok(self.rows.lock().unwrap().get(&(table, key.to_vec())).copied().unwrap_or(0))
        }

        fn is(&self, table: Table, key: &[u8], row: &Row) -> Result<bool, StoreError> {
            Ok(self.version(table, key)? == row.version)
        }
    }

    impl Target for Witness {
        fn commit(&self, changes: &[Change], _generation: u64) -> Result<(), StoreError> {
            let is_healed = self.good_again_after.is_some_and(|tries| self.revivals.load(Ordering::SeqCst) >= tries);
            if self.commits.fetch_add(1, Ordering::SeqCst) >= self.good_commits && !is_healed {
                return Err(StoreError::Unwritable("no space left on device".to_owned()));
            }
            let mut rows = self.rows.lock().unwrap();
            for change in changes {
                let (table, key) = change.row();
                rows.insert((table, key.to_vec()), change.version());
            }
            Ok(())
        }

        fn is_open(&self) -> bool {
            true
        }

        fn revive(&self) -> Result<u64, StoreError> {
            let tries = self.revivals.fetch_add(1, Ordering::SeqCst) + 1;
            match self.good_again_after {
                Some(enough) if tries >= enough => Ok(7),
                _ => Err(StoreError::Unwritable("still no space left".to_owned())),
            }
        }
    }

    fn put(key: &str, expected: u64) -> Batch {
        let mut batch = Batch::default();
        batch.put(Table::Sessions, key, expected, "sealed");
        batch
    }

    fn fresh_state() -> State {
        State::default()
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
        assert_eq!((state.generation.load(Ordering::SeqCst), state.syncs.load(Ordering::SeqCst)), (3, 1));
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
    fn after_a_write_that_failed_nothing_is_written_and_the_fault_is_told() {
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
        assert_eq!(writer.fault(), Some("no space left on device".to_owned()));
        assert_eq!(writer.generation(), 1);
    }

    #[test]
    fn a_target_that_heals_is_written_again_from_the_generation_that_is_found_on_it() {
        let target = Arc::new(Witness { good_again_after: Some(2), ..Witness::default() });
        let writer = Writer::start(Arc::clone(&target), 0).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(runtime.block_on(writer.write_if(put("a", 0))).is_err());
        runtime.block_on(writer.revived());
        assert_eq!((writer.fault(), writer.generation()), (None, 7));
        assert_eq!(runtime.block_on(writer.write_if(put("a", 0))).unwrap(), 8);
        assert_eq!(target.revivals.load(Ordering::SeqCst), 2);
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
