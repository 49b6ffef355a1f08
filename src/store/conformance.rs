//! What every store must do, whatever it is made of. A backend takes all of it with `conformance!(OPEN)`, where `OPEN`
//! makes an empty store and a guard for what it stands on.

use std::sync::{Barrier, Mutex};
use std::thread;

use super::{Batch, Row, Snapshot, Store, StoreError, Table};

pub(super) mod failure;
mod lease;

/// Makes one test of each function below, in the module where it is called.
macro_rules! conformance {
    ($open:expr) => {
        $crate::store::conformance::conformance!($open =>
            a_row_is_read_back_with_its_version,
            a_row_that_exists_is_not_created_again,
            a_row_is_replaced_only_in_the_version_it_was_read_in,
            a_row_is_deleted_only_in_the_version_it_was_read_in,
            a_row_is_rewritten_only_while_it_is_the_very_same_and_keeps_its_version,
            tables_do_not_share_their_keys,
            a_batch_with_one_failing_precondition_changes_nothing,
            an_expectation_guards_a_batch_without_changing_its_row,
            preconditions_are_judged_on_the_store_before_the_batch,
            an_index_entry_may_be_written_and_removed_any_number_of_times,
            batches_take_effect_in_the_order_they_were_queued,
            of_many_concurrent_writers_of_a_version_exactly_one_wins,
            a_counter_raised_by_many_threads_loses_no_step,
            a_scan_returns_the_keys_under_its_prefix_in_byte_order,
            a_scan_goes_on_strictly_behind_the_last_key_of_a_page,
            a_scan_under_a_prefix_of_highest_bytes_ends_with_the_table,
            a_scan_that_begins_outside_of_its_prefix_stays_within_it,
            dropping_the_future_does_not_cancel_the_write,
            the_generation_rises_by_one_with_every_batch_and_not_with_conflicts,
            whoever_looks_sees_one_moment_while_others_write,
            a_purge_keeps_every_row_and_the_generation,
            a_purge_that_is_told_to_end_has_changed_nothing,
            a_purge_goes_on_while_others_write,
            a_lease_has_one_holder,
            a_lease_is_renewed_by_its_holder_and_ends_when_it_is_not,
            a_lease_is_given_back_by_its_holder_only,
        );
    };
    ($open:expr => $($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                let (store, _guard) = $open;
                $crate::store::conformance::$name(&store);
            }
        )*
    };
}
pub(super) use conformance;
pub(super) use lease::{
    a_lease_has_one_holder, a_lease_is_given_back_by_its_holder_only,
    a_lease_is_renewed_by_its_holder_and_ends_when_it_is_not,
};

fn write(store: &dyn Store, build: impl FnOnce(&mut Batch)) -> Result<u64, StoreError> {
    let mut batch = Batch::default();
    build(&mut batch);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.write_if(batch))
}

fn put(store: &dyn Store, key: &[u8], expected: u64, value: &[u8]) -> Result<u64, StoreError> {
    write(store, |batch| {
        batch.put(Table::Sessions, key, expected, value);
    })
}

fn read(store: &dyn Store, key: &[u8]) -> Option<Row> {
    store.read(Table::Sessions, key).unwrap()
}

fn row(version: u64, value: &[u8]) -> Row {
    Row { version, value: value.to_vec() }
}

fn keys(store: &dyn Store, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<Vec<u8>> {
    store.scan(Table::Due, prefix, after, limit).unwrap().into_iter().map(|(key, _)| key).collect()
}

fn mark_all(store: &dyn Store, keys: &[&[u8]]) {
    write(store, |batch| {
        for key in keys {
            batch.mark(Table::Due, key);
        }
    })
    .unwrap();
}

fn is_conflict(outcome: &Result<u64, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Conflict { table: Table::Sessions }))
}

pub(super) fn a_row_is_read_back_with_its_version(store: &dyn Store) {
    assert_eq!(read(store, b"a"), None);
    put(store, b"a", 0, b"one").unwrap();
    assert_eq!(read(store, b"a"), Some(row(1, b"one")));
    put(store, b"a", 1, b"").unwrap();
    assert_eq!(read(store, b"a"), Some(row(2, b"")));
}

pub(super) fn a_row_that_exists_is_not_created_again(store: &dyn Store) {
    put(store, b"a", 0, b"first").unwrap();
    assert!(is_conflict(&put(store, b"a", 0, b"second")));
    assert_eq!(read(store, b"a"), Some(row(1, b"first")));
}

pub(super) fn a_row_is_replaced_only_in_the_version_it_was_read_in(store: &dyn Store) {
    assert!(is_conflict(&put(store, b"a", 1, b"of nothing")));
    put(store, b"a", 0, b"one").unwrap();
    put(store, b"a", 1, b"two").unwrap();
    assert!(is_conflict(&put(store, b"a", 1, b"late")));
    assert!(is_conflict(&put(store, b"a", 3, b"early")));
    assert_eq!(read(store, b"a"), Some(row(2, b"two")));
}

pub(super) fn a_row_is_rewritten_only_while_it_is_the_very_same_and_keeps_its_version(store: &dyn Store) {
    let rewrite = |old: Row, value: &[u8]| {
        write(store, |batch| {
            batch.rewrite(Table::Sessions, b"a", old, value);
        })
    };
    assert!(is_conflict(&rewrite(row(1, b"nothing"), b"x")));
    put(store, b"a", 0, b"one").unwrap();
    put(store, b"a", 1, b"two").unwrap();
    rewrite(row(2, b"two"), b"two, sealed anew").unwrap();
    assert_eq!(read(store, b"a"), Some(row(2, b"two, sealed anew")));
    assert!(is_conflict(&rewrite(row(2, b"two"), b"x")));
    put(store, b"a", 2, b"three").unwrap();
    assert!(is_conflict(&rewrite(row(2, b"two, sealed anew"), b"x")));
    // Removed and written anew, it is in the first version again.
    write(store, |batch| {
        batch.delete(Table::Sessions, b"a", 3);
    })
    .unwrap();
    put(store, b"a", 0, b"another").unwrap();
    assert!(is_conflict(&rewrite(row(1, b"one"), b"x")));
    assert_eq!(read(store, b"a"), Some(row(1, b"another")));
}

pub(super) fn a_row_is_deleted_only_in_the_version_it_was_read_in(store: &dyn Store) {
    let delete = |expected| {
        write(store, |batch| {
            batch.delete(Table::Sessions, b"a", expected);
        })
    };
    put(store, b"a", 0, b"one").unwrap();
    put(store, b"a", 1, b"two").unwrap();
    assert!(is_conflict(&delete(1)));
    assert!(is_conflict(&delete(0)));
    assert_eq!(read(store, b"a"), Some(row(2, b"two")));
    delete(2).unwrap();
    assert_eq!(read(store, b"a"), None);
    assert!(is_conflict(&delete(2)));
}

pub(super) fn tables_do_not_share_their_keys(store: &dyn Store) {
    for table in Table::ALL {
        write(store, |batch| {
            batch.put(table, b"key", 0, table.name());
        })
        .unwrap();
    }
    for table in Table::ALL {
        let rows = store.scan(table, b"", None, 10).unwrap();
        assert_eq!(rows, [(b"key".to_vec(), row(1, table.name().as_bytes()))], "{table}");
    }
}

pub(super) fn a_batch_with_one_failing_precondition_changes_nothing(store: &dyn Store) {
    put(store, b"b", 0, b"kept").unwrap();
    let outcome = write(store, |batch| {
        batch.put(Table::Sessions, b"a", 0, b"new").mark(Table::Due, b"a").delete(Table::Sessions, b"b", 9);
    });
    assert!(is_conflict(&outcome));
    assert_eq!(read(store, b"a"), None);
    assert_eq!(read(store, b"b"), Some(row(1, b"kept")));
    assert!(keys(store, b"", None, 10).is_empty());
}

pub(super) fn an_expectation_guards_a_batch_without_changing_its_row(store: &dyn Store) {
    put(store, b"guard", 0, b"one").unwrap();
    let guarded = |version| {
        write(store, |batch| {
            batch.expect(Table::Sessions, b"guard", version).mark(Table::Due, b"x");
        })
    };
    assert!(is_conflict(&guarded(0)));
    assert!(keys(store, b"", None, 10).is_empty());
    guarded(1).unwrap();
    assert_eq!(keys(store, b"", None, 10), [b"x"]);
    assert_eq!(read(store, b"guard"), Some(row(1, b"one")));
}

pub(super) fn preconditions_are_judged_on_the_store_before_the_batch(store: &dyn Store) {
    let outcome = write(store, |batch| {
        batch.put(Table::Sessions, b"a", 0, b"one").put(Table::Sessions, b"a", 1, b"two");
    });
    assert!(is_conflict(&outcome));
    put(store, b"a", 0, b"one").unwrap();
    write(store, |batch| {
        batch.expect(Table::Sessions, b"a", 1).put(Table::Sessions, b"a", 1, b"two");
    })
    .unwrap();
    assert_eq!(read(store, b"a"), Some(row(2, b"two")));
}

pub(super) fn an_index_entry_may_be_written_and_removed_any_number_of_times(store: &dyn Store) {
    let unmark = || {
        write(store, |batch| {
            batch.unmark(Table::Due, b"x");
        })
    };
    unmark().unwrap();
    mark_all(store, &[b"x", b"x"]);
    mark_all(store, &[b"x"]);
    assert_eq!(store.read(Table::Due, b"x").unwrap(), Some(row(1, b"")));
    unmark().unwrap();
    assert_eq!(store.read(Table::Due, b"x").unwrap(), None);
}

pub(super) fn batches_take_effect_in_the_order_they_were_queued(store: &dyn Store) {
    let queue = |expected: u64| {
        let mut batch = Batch::default();
        batch.put(Table::Sessions, b"a", expected, expected.to_le_bytes());
        store.write_if(batch)
    };
    // Each builds on the one before it, and none is waited for in between.
    let outcomes: Vec<_> = (0..50).map(queue).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let generations: Vec<_> = outcomes.into_iter().map(|outcome| runtime.block_on(outcome).unwrap()).collect();
    assert!(generations.is_sorted());
    assert_eq!(read(store, b"a"), Some(row(50, &49_u64.to_le_bytes())));
}

pub(super) fn of_many_concurrent_writers_of_a_version_exactly_one_wins(store: &dyn Store) {
    const WRITERS: u64 = 16;
    for version in 0..20 {
        let start = Barrier::new(16);
        let winners: Vec<u64> = thread::scope(|scope| {
            let compete = |writer: u64| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    put(store, b"a", version, &writer.to_le_bytes()).is_ok().then_some(writer)
                })
            };
            let writers: Vec<_> = (0..WRITERS).map(compete).collect();
            writers.into_iter().filter_map(|writer| writer.join().unwrap()).collect()
        });
        assert_eq!(winners.len(), 1, "version {version}");
        assert_eq!(read(store, b"a"), Some(row(version + 1, &winners[0].to_le_bytes())));
    }
}

pub(super) fn a_counter_raised_by_many_threads_loses_no_step(store: &dyn Store) {
    const THREADS: u64 = 8;
    const STEPS: u64 = 25;
    let raise = || {
        loop {
            let version = read(store, b"counter").map_or(0, |row| row.version);
            match put(store, b"counter", version, b"") {
                Ok(_) => return,
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..STEPS).for_each(|_| raise()));
        }
    });
    assert_eq!(read(store, b"counter").unwrap().version, THREADS * STEPS);
}

pub(super) fn a_scan_returns_the_keys_under_its_prefix_in_byte_order(store: &dyn Store) {
    mark_all(store, &[b"b\xff", b"a", b"b", b"b\x00", b"ba", b"c", b"\xff"]);
    assert_eq!(keys(store, b"b", None, 10), [&b"b"[..], b"b\x00", b"ba", b"b\xff"]);
    assert_eq!(keys(store, b"", None, 10).len(), 7);
    assert!(keys(store, b"d", None, 10).is_empty());
}

pub(super) fn a_scan_goes_on_strictly_behind_the_last_key_of_a_page(store: &dyn Store) {
    let all: Vec<Vec<u8>> = (0..100_u8).map(|number| vec![b'p', number]).collect();
    mark_all(store, &all.iter().map(Vec::as_slice).collect::<Vec<_>>());
    mark_all(store, &[b"o", b"q"]);
    let mut seen: Vec<Vec<u8>> = Vec::new();
    loop {
        let page = keys(store, b"p", seen.last().map(Vec::as_slice), 7);
        assert!(page.len() <= 7);
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen, all);
    assert!(keys(store, b"p", None, 0).is_empty());
}

pub(super) fn a_scan_under_a_prefix_of_highest_bytes_ends_with_the_table(store: &dyn Store) {
    mark_all(store, &[b"\xfe", b"\xff\xff", b"\xff\xff\x01", b"\xff\xff\xff"]);
    assert_eq!(keys(store, b"\xff\xff", None, 10), [&b"\xff\xff"[..], b"\xff\xff\x01", b"\xff\xff\xff"]);
    assert_eq!(keys(store, b"\xff\xff", Some(b"\xff\xff"), 10), [b"\xff\xff\x01", b"\xff\xff\xff"]);
}

pub(super) fn a_scan_that_begins_outside_of_its_prefix_stays_within_it(store: &dyn Store) {
    mark_all(store, &[b"a", b"b1", b"b2", b"c"]);
    assert_eq!(keys(store, b"b", Some(b"a"), 10), [b"b1", b"b2"]);
    assert!(keys(store, b"b", Some(b"bz"), 10).is_empty());
    assert!(keys(store, b"b", Some(b"c"), 10).is_empty());
}

pub(super) fn dropping_the_future_does_not_cancel_the_write(store: &dyn Store) {
    let mut batch = Batch::default();
    batch.put(Table::Sessions, b"a", 0, b"written");
    drop(store.write_if(batch));
    // Queued behind it, so it is done when this is.
    put(store, b"b", 0, b"").unwrap();
    assert_eq!(read(store, b"a"), Some(row(1, b"written")));
}

pub(super) fn the_generation_rises_by_one_with_every_batch_and_not_with_conflicts(store: &dyn Store) {
    assert_eq!(store.generation(), 0);
    assert_eq!(put(store, b"a", 0, b"").unwrap(), 1);
    assert_eq!(put(store, b"a", 1, b"").unwrap(), 2);
    assert!(is_conflict(&put(store, b"a", 1, b"")));
    assert_eq!(store.generation(), 2);
    mark_all(store, &[b"x"]);
    assert_eq!(store.generation(), 3);
}

pub(super) fn whoever_looks_sees_one_moment_while_others_write(store: &dyn Store) {
    put(store, b"a", 0, b"one").unwrap();
    mark_all(store, &[b"x"]);
    let mut look = |snapshot: &dyn Snapshot| {
        thread::scope(|scope| {
            let write = || {
                put(store, b"a", 1, b"two").unwrap();
                put(store, b"b", 0, b"new").unwrap();
                mark_all(store, &[b"y"]);
            };
            scope.spawn(write).join().unwrap();
        });
        assert_eq!(snapshot.read(Table::Sessions, b"a").unwrap(), Some(row(1, b"one")));
        assert_eq!(snapshot.scan(Table::Sessions, b"", None, 9).unwrap().len(), 1);
        assert_eq!(snapshot.scan(Table::Due, b"", Some(b"x"), 9).unwrap(), []);
        assert_eq!(snapshot.generation().unwrap(), 2);
    };
    store.look(&mut look).unwrap();
    assert_eq!((read(store, b"a"), store.generation()), (Some(row(2, b"two")), 5));
}

pub(super) fn a_purge_keeps_every_row_and_the_generation(store: &dyn Store) {
    put(store, b"kept", 0, b"one").unwrap();
    put(store, b"kept", 1, b"two").unwrap();
    put(store, b"gone", 0, b"").unwrap();
    mark_all(store, &[b"x", b"y"]);
    write(store, |batch| {
        batch.delete(Table::Sessions, b"gone", 1).unmark(Table::Due, b"y");
    })
    .unwrap();
    let asked = Mutex::new(Vec::new());
    let go_on = |table| {
        asked.lock().unwrap().push(table);
        true
    };
    assert!(store.purge(&go_on).unwrap());
    assert_eq!(asked.into_inner().unwrap(), Table::ALL, "each table is asked about, once");
    assert_eq!(store.scan(Table::Sessions, b"", None, 9).unwrap(), [(b"kept".to_vec(), row(2, b"two"))]);
    assert_eq!(keys(store, b"", None, 9), [b"x"]);
    assert_eq!(store.generation(), 5);
    assert_eq!(put(store, b"kept", 2, b"three").unwrap(), 6);
    assert_eq!(store.fault(), None);
}

pub(super) fn a_purge_that_is_told_to_end_has_changed_nothing(store: &dyn Store) {
    put(store, b"kept", 0, b"one").unwrap();
    assert!(!store.purge(&|table| table != Table::History).unwrap());
    assert_eq!(read(store, b"kept"), Some(row(1, b"one")));
    put(store, b"kept", 1, b"two").unwrap();
}

pub(super) fn a_purge_goes_on_while_others_write(store: &dyn Store) {
    thread::scope(|scope| {
        let writer =
            scope.spawn(|| (0..200_u64).try_for_each(|version| put(store, b"a", version, &[0x5a; 4000]).map(drop)));
        for _ in 0..3 {
            assert!(store.purge(&|_| true).unwrap());
        }
        writer.join().unwrap().unwrap();
    });
    assert_eq!(read(store, b"a").unwrap().version, 200);
    assert_eq!(store.generation(), 200);
}
