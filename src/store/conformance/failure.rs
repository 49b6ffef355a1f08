//! What every store must do when a write fails. The suite lets the n-th fail, before any of it is there or when all of it is and only
//! the answer is lost; a backend takes all of it with `conformance_in_failure!(OPEN)`, where `OPEN` makes an empty store that is
//! struck by the [`Failure`] it is given, and a guard for what it stands on.
//!
//! A write that failed has happened wholly or not at all. Which, is told by what is read once the store has healed; until then
//! both may be read. It heals by itself, nothing that was acknowledged is lost by it, and no write is made twice.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{keys, put, read, row, write};
use crate::store::{Batch, Store, StoreError, Table};

/// When a write is stopped.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Blow {
    /// Before any of it is there.
    Before,
    /// When all of it is there.
    After,
}

/// A write that is to fail.
#[derive(Debug)]
pub(in crate::store) struct Failure {
    writes_before: AtomicUsize,
    blow: Blow,
}

impl Failure {
    /// Makes a write, or lets it fail if it is the one.
    pub(in crate::store) fn strike<T>(&self, write: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let one_less = |left: usize| left.checked_sub(1);
        match self.writes_before.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less) {
            Err(0) if self.writes_before.swap(usize::MAX, Ordering::SeqCst) == 0 => {
                if let Blow::After = self.blow {
                    write()?;
                }
                Err(StoreError::Unwritable("it was made to fail".to_owned()))
            }
            _ => write(),
        }
    }
}

/// Makes one test of each function below, in the module where it is called.
macro_rules! conformance_in_failure {
    ($open:expr) => {
        $crate::store::conformance::failure::conformance_in_failure!($open =>
            a_write_that_failed_has_happened_wholly_or_not_at_all,
            what_was_acknowledged_is_read_while_the_store_is_unwell_and_after_it,
            a_write_that_failed_can_be_repeated_and_is_made_once,
            no_write_stands_on_one_that_failed_and_did_not_happen,
        );
    };
    ($open:expr => $($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                $crate::store::conformance::failure::each($open, |store, good| {
                    $crate::store::conformance::failure::$name(store, good);
                });
            }
        )*
    };
}
pub(in crate::store) use conformance_in_failure;

/// Runs a test with every blow, on the first write and on a later one; it is told how many writes go well before.
pub(in crate::store) fn each<S: Store, G>(open: impl Fn(Failure) -> (S, G), test: impl Fn(&dyn Store, usize)) {
    for blow in [Blow::Before, Blow::After] {
        for good in [0, 3] {
            let (store, _guard) = open(Failure { writes_before: AtomicUsize::new(good), blow });
            test(&store, good);
        }
    }
}

/// Rows that are written before the failure.
fn write_well(store: &dyn Store, good: usize) {
    for number in 0..good {
        put(store, &[b'0', number.try_into().unwrap()], 0, b"acknowledged").unwrap();
    }
}

fn assert_failed(outcome: &Result<u64, StoreError>) {
    assert!(matches!(outcome, Err(StoreError::Unwritable(_))), "{outcome:?}");
}

/// Waits until the store takes writes again.
fn heal(store: &dyn Store) {
    if store.fault().is_some() {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(store.reopened());
    }
    assert_eq!(store.fault(), None);
}

pub(in crate::store) fn a_write_that_failed_has_happened_wholly_or_not_at_all(store: &dyn Store, good: usize) {
    write_well(store, good);
    let outcome = write(store, |batch| {
        batch.put(Table::Sessions, b"a", 0, b"one").put(Table::Bindings, b"a", 0, b"two").mark(Table::Due, b"a");
    });
    assert_failed(&outcome);
    heal(store);
    let has_happened = read(store, b"a").is_some();
    assert_eq!(store.read(Table::Bindings, b"a").unwrap().is_some(), has_happened);
    assert_eq!(keys(store, b"", None, 10).len(), usize::from(has_happened));
    assert_eq!(store.generation(), (good + usize::from(has_happened)) as u64, "it counts what has happened");
}

pub(in crate::store) fn what_was_acknowledged_is_read_while_the_store_is_unwell_and_after_it(
    store: &dyn Store,
    good: usize,
) {
    write_well(store, good);
    let acknowledged = || {
        let rows = store.scan(Table::Sessions, b"0", None, 10).unwrap();
        rows.len() == good && rows.iter().all(|(_, found)| *found == row(1, b"acknowledged"))
    };
    assert_failed(&put(store, b"a", 0, b"one"));
    assert!(acknowledged());
    heal(store);
    assert!(acknowledged());
}

pub(in crate::store) fn a_write_that_failed_can_be_repeated_and_is_made_once(store: &dyn Store, good: usize) {
    write_well(store, good);
    assert_failed(&put(store, b"a", 0, b"one"));
    heal(store);
    let had_happened = read(store, b"a").is_some();
    let outcome = put(store, b"a", 0, b"one");
    assert_eq!(outcome.is_ok(), !had_happened, "{outcome:?}");
    assert_eq!(read(store, b"a"), Some(row(1, b"one")));
    assert_eq!(store.generation(), good as u64 + 1);
    assert_eq!(put(store, b"a", 1, b"two").unwrap(), good as u64 + 2);
}

pub(in crate::store) fn no_write_stands_on_one_that_failed_and_did_not_happen(store: &dyn Store, _good: usize) {
    let queue = |expected: u64| {
        let mut batch = Batch::default();
        batch.put(Table::Sessions, b"a", expected, expected.to_le_bytes());
        store.write_if(batch)
    };
    // Each builds on the one before it, and none is waited for in between.
    let outcomes: Vec<_> = (0..20).map(queue).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let outcomes: Vec<_> = outcomes.into_iter().map(|outcome| runtime.block_on(outcome)).collect();
    heal(store);
    let version = read(store, b"a").map_or(0, |row| row.version);
    let acknowledged = outcomes.iter().rposition(Result::is_ok).map_or(0, |last| last as u64 + 1);
    assert!(acknowledged <= version, "{acknowledged} is acknowledged and {version} is there: {outcomes:?}");
    assert_eq!(store.generation(), version);
    assert_eq!(put(store, b"a", version, b"next").unwrap(), version + 1);
}
