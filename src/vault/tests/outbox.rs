//! Audit events on their way out.

use super::*;
use crate::audit::{Outbox, What};
use crate::store::Batch;

fn event(number: usize) -> What {
    What::DaemonStarted { version: number.to_string() }
}

async fn tell(vault: &Vault, numbers: std::ops::Range<usize>) {
    let mut change = vault.change(NOW);
    for number in numbers {
        change.audit(event(number)).unwrap();
    }
    change.commit().await.unwrap();
}

fn waiting(vault: &Vault, limit: usize) -> Vec<What> {
    vault.pending(limit).unwrap().into_iter().map(|(_, event)| event.what).collect()
}

#[tokio::test]
async fn events_come_out_in_their_order_and_only_those_named_are_taken_out() {
    let vault = in_memory().await;
    tell(&vault, 0..3).await;
    tell(&vault, 3..5).await;
    assert_eq!(waiting(&vault, 2), [event(0), event(1)]);
    let pending = vault.pending(10).unwrap();
    assert_eq!(pending.iter().map(|(_, event)| event.at).collect::<Vec<_>>(), [NOW; 5]);
    vault.delivered(&[pending[0].0, pending[2].0]).unwrap();
    assert_eq!(waiting(&vault, 10), [event(1), event(3), event(4)]);
    assert_eq!(vault.outbox_waiting().unwrap(), 3);
    vault.delivered(&[pending[0].0]).unwrap();
    vault.delivered(&[]).unwrap();
    assert_eq!(vault.outbox_waiting().unwrap(), 3);
}

#[tokio::test]
async fn an_event_that_comes_in_late_far_before_the_others_is_sent_once_they_are() {
    let vault = in_memory().await;
    let mut late = vault.change(NOW);
    late.audit(event(0)).unwrap();
    tell(&vault, 1..2000).await;
    let numbers = |limit| vault.pending(limit).unwrap().into_iter().map(|(number, _)| number).collect::<Vec<_>>();
    vault.delivered(&numbers(1900)).unwrap();
    assert_eq!(waiting(&vault, 1), [event(1901)]);
    late.commit().await.unwrap();
    vault.delivered(&numbers(100)).unwrap();
    assert_eq!(waiting(&vault, 10), [event(0)]);
    vault.delivered(&numbers(1)).unwrap();
    assert_eq!(waiting(&vault, 10), []);
    tell(&vault, 2000..2001).await;
    assert_eq!(waiting(&vault, 10), [event(2000)]);
}

#[tokio::test]
async fn how_many_wait_is_known_without_passing_what_was_removed() {
    let vault = in_memory().await;
    let length = || vault.outbox_length().unwrap();
    assert_eq!(length(), 0);
    tell(&vault, 0..3).await;
    assert_eq!(length(), 3);
    let numbers: Vec<_> = vault.pending(2).unwrap().into_iter().map(|(number, _)| number).collect();
    vault.delivered(&numbers).unwrap();
    assert_eq!(length(), 1);
    vault.delivered(&[2]).unwrap();
    assert_eq!((waiting(&vault, 10), length()), (vec![], 0));
    // In the place of what was removed: nobody looks there any more.
    let mut batch = Batch::default();
    batch.set(Table::Outbox, 0_u64.to_be_bytes(), "sealed");
    vault.store.write_if(batch).await.unwrap();
    assert_eq!(length(), 0);
    tell(&vault, 3..5).await;
    assert_eq!(length(), 2);
    // A change that was given up has taken a number.
    vault.delivered(&[0, 3, 4]).unwrap();
    vault.pending(10).unwrap();
    vault.change(NOW).audit(event(5)).unwrap();
    assert_eq!(length(), 0);
}

#[tokio::test]
async fn a_restart_goes_on_behind_what_still_waits() {
    let (vault, _dir) = on_disk().await;
    tell(&vault, 0..1500).await;
    let first = vault.pending(1).unwrap()[0].0;
    vault.delivered(&[first]).unwrap();
    let vault = reopened(vault).await;
    tell(&vault, 1500..1503).await;
    assert_eq!(vault.pending(2000).unwrap().len(), 1502);
    assert_eq!(waiting(&vault, 2000).last(), Some(&event(1502)));
    // Also behind gaps, and when only the last one waits, or none.
    for kept in [vec![3, 700, 1502], vec![1502], vec![]] {
        let delivered: Vec<_> = vault.pending(2000).unwrap().into_iter().map(|(number, _)| number).collect();
        let delivered: Vec<_> = delivered.into_iter().filter(|number| !kept.contains(number)).collect();
        vault.delivered(&delivered).unwrap();
        vault.find_end_of_outbox().unwrap();
        let next = vault.outbox_next.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(next, if kept.is_empty() { 0 } else { 1503 });
    }
}

#[tokio::test]
async fn an_event_that_does_not_open_is_told_of_as_lost_and_holds_up_none_behind_it() {
    let vault = in_memory().await;
    tell(&vault, 0..3).await;
    let (key, row) = rows(&*vault.store, Table::Outbox).remove(1);
    let damaged = row.value.iter().map(|byte| byte ^ 1).collect::<Vec<_>>();
    let mut batch = Batch::default();
    batch.rewrite(Table::Outbox, &key, row, damaged);
    vault.store.write_if(batch).await.unwrap();
    let told = waiting(&vault, 10);
    assert!(
        matches!(&told[..], [_, What::StoreDamaged { findings: 1, first }, _] if first.contains("audit event 1,")),
        "{told:?}"
    );
    assert_eq!([&told[0], &told[2]], [&event(0), &event(2)]);
    let numbers: Vec<_> = vault.pending(10).unwrap().into_iter().map(|(number, _)| number).collect();
    vault.delivered(&numbers).unwrap();
    assert_eq!(waiting(&vault, 10), []);
}
