//! A store that was put back: its generation goes on above its anchor, and what is in it is in quarantine.

use std::sync::atomic::Ordering;

use futures_util::future::BoxFuture;

use super::*;
use crate::audit::{Outbox, What};
use crate::store::{Batch, Overlay, StoreError, Written};

async fn rolled_back() -> Vault {
    let vault = in_memory().await;
    insert(&vault, &session(1)).await;
    vault.note_rollback(Some(1000), "found older".to_owned(), NOW).await.unwrap();
    vault
}

fn quarantined(vault: &Vault, number: u8) -> bool {
    vault.is_quarantined(session(number).id).unwrap()
}

async fn renew(vault: &Vault, number: u8) {
    let new = |session: &mut Session| session.tokens.as_mut().unwrap().access.token = Secret::from("new");
    update(vault, session(number).id, new).await;
}

#[tokio::test]
async fn the_generation_rises_with_every_batch_and_never_falls_below_what_was_anchored() {
    let vault = in_memory().await;
    let before = vault.generation();
    insert(&vault, &session(1)).await;
    assert_eq!(vault.generation(), before + 1);
    vault.note_rollback(Some(1000), String::new(), NOW).await.unwrap();
    assert!(vault.generation() > 1000);
    let vault = reopened(vault).await;
    let before = vault.generation();
    assert!(before > 1000, "it stays so over a restart");
    vault.note_rollback(None, String::new(), NOW).await.unwrap();
    assert!(vault.generation() > before);
}

#[tokio::test]
async fn an_anchor_is_believed_by_the_store_that_wrote_it_and_as_it_was_written() {
    let (vault, stranger) = (in_memory().await, in_memory().await);
    let anchor = vault.write_anchor(412);
    assert_eq!(vault.read_anchor(&anchor), Ok(412));
    for forged in [anchor.replace("412", "411"), anchor.replace("412", "0412"), anchor.clone() + "\n", String::new()] {
        assert!(vault.read_anchor(&forged).is_err(), "{forged}");
    }
    assert!(stranger.read_anchor(&anchor).is_err());
}

#[tokio::test]
async fn everything_in_the_store_is_in_quarantine_until_it_gets_new_tokens() {
    let vault = rolled_back().await;
    assert!(quarantined(&vault, 1));
    update(&vault, session(1).id, |session| session.due_at = None).await;
    assert!(quarantined(&vault, 1), "nothing new came");
    insert(&vault, &session(2)).await;
    renew(&vault, 1).await;
    let vault = reopened(vault).await;
    assert!(!quarantined(&vault, 1) && !quarantined(&vault, 2), "and it stays so over a restart");
}

#[tokio::test]
async fn a_second_rollback_puts_everything_into_quarantine_again() {
    let vault = rolled_back().await;
    renew(&vault, 1).await;
    vault.note_rollback(Some(5000), String::new(), NOW).await.unwrap();
    assert!(quarantined(&vault, 1));
}

#[tokio::test]
async fn a_rollback_that_is_accepted_is_over_and_leaves_nothing_behind() {
    let vault = rolled_back().await;
    insert(&vault, &session(2)).await;
    let accepted = vault.accept_rollback("uid 0".to_owned(), NOW).await.unwrap().unwrap();
    assert_eq!((accepted.anchored, accepted.why.as_str()), (Some(1000), "found older"));
    assert!(!quarantined(&vault, 1) && vault.rollback().is_none());
    assert_eq!(vault.accept_rollback("uid 0".to_owned(), NOW).await.unwrap(), None);
    let vault = reopened(vault).await;
    assert!(!quarantined(&vault, 1) && vault.rollback().is_none());
    let names: Vec<_> = rows(&*vault.store, Table::Meta).into_iter().map(|(key, _)| key).collect();
    assert_eq!(names, [&b"lineage"[..], b"sentinel"]);
    let told: Vec<_> = vault.pending(10).unwrap().into_iter().map(|(_, event)| event.what).collect();
    assert!(matches!(&told[0], What::RollbackNoticed { anchored: Some(1000), .. }), "{told:?}");
    assert!(matches!(&told[1], What::RollbackAccepted { anchored: Some(1000), .. }), "{told:?}");
}

/// It takes everything, and the answer to the last write is lost.
struct Mute(MemoryStore, std::sync::atomic::AtomicBool);

impl Overlay for Mute {
    type Beneath = MemoryStore;

    fn beneath(&self) -> &MemoryStore {
        &self.0
    }

    fn write_if(&self, batch: Batch) -> Written {
        let written = self.0.write_if(batch);
        let is_lost = self.1.load(Ordering::SeqCst);
        let lost = || Box::pin(std::future::ready(Err(StoreError::Unwritable("its answer was lost".to_owned()))));
        if is_lost { lost() } else { written }
    }

    fn reopened(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn a_rollback_whose_acceptance_was_written_and_not_answered_is_over_once_the_store_has_healed() {
    let store = Arc::new(Mute(MemoryStore::new(), false.into()));
    let vault = Vault::open(Arc::clone(&store) as _, Keyring::generate()).await.unwrap();
    insert(&vault, &session(1)).await;
    vault.note_rollback(Some(1000), String::new(), NOW).await.unwrap();
    store.1.store(true, Ordering::SeqCst);
    vault.accept_rollback("uid 0".to_owned(), NOW).await.unwrap_err();
    assert!(quarantined(&vault, 1));
    vault.reopened().await;
    assert!(!quarantined(&vault, 1) && vault.rollback().is_none() && vault.generation() > 1000);
}

#[tokio::test]
async fn a_session_that_is_removed_leaves_no_mark() {
    let vault = rolled_back().await;
    renew(&vault, 1).await;
    remove(&vault, session(1).id).await;
    assert!(rows(&*vault.store, Table::Meta).iter().all(|(key, _)| !key.starts_with(b"released/")));
}

#[tokio::test]
async fn a_forged_mark_releases_nobody() {
    let vault = rolled_back().await;
    insert(&vault, &session(2)).await;
    let (key, row) =
        rows(&*vault.store, Table::Meta).into_iter().find(|(key, _)| key.starts_with(b"released/")).unwrap();
    let moved = [&key[..key.len() - 8], session(1).id.as_bytes()].concat();
    let mut batch = Batch::default();
    batch.set(Table::Meta, moved, row.value);
    vault.store.write_if(batch).await.unwrap();
    assert!(quarantined(&vault, 1));
}
