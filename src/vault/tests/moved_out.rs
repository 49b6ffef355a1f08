//! A store that was moved to another host changes no session any more, over restarts too, until somebody cancels it.

use super::*;
use crate::vault::{Intent, MovedOut, VaultError};

fn moved() -> MovedOut {
    MovedOut { at: NOW, peer: "uid 0".to_owned(), sessions: 1, generation: 7, confirmed: false }
}

/// Tries what a refresh begins with, and a change of the session.
async fn is_fenced(vault: &Vault) -> bool {
    let id = session(1).id;
    let mut intent = vault.change(NOW);
    intent.intend(id, &Intent { generation: 1, at: NOW }).unwrap();
    let mut change = vault.change(NOW);
    let old = vault.session(id).unwrap().unwrap();
    change.update(&old, &Session { generation: 2, ..old.value.clone() }).unwrap();
    let outcomes = [intent.commit().await, change.commit().await];
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(VaultError::MovedOut))).count();
    assert!(refused == 0 || refused == 2, "{outcomes:?}");
    refused > 0
}

#[tokio::test]
async fn nothing_is_changed_or_spent_any_more_over_restarts_too() {
    let vault = in_memory().await;
    insert(&vault, &session(1)).await;
    assert!(!is_fenced(&vault).await);
    vault.move_out(moved()).await.unwrap();
    assert!(is_fenced(&vault).await);
    let vault = reopened(vault).await;
    assert!(is_fenced(&vault).await);
    let mut told = vault.change(NOW);
    told.audit(crate::audit::What::ConfigReloaded).unwrap();
    told.commit().await.unwrap();
}

#[tokio::test]
async fn only_what_left_can_be_confirmed() {
    let vault = in_memory().await;
    assert!(vault.confirm_move_out(7, "uid 0".to_owned(), NOW).await.unwrap().is_none());
    vault.move_out(moved()).await.unwrap();
    assert!(vault.confirm_move_out(6, "uid 0".to_owned(), NOW).await.unwrap().is_none());
    assert!(vault.confirm_move_out(7, "uid 0".to_owned(), NOW).await.unwrap().unwrap().confirmed);
    assert!(reopened(vault).await.moved_out().unwrap().confirmed);
}

#[tokio::test]
async fn a_move_that_is_cancelled_leaves_the_store_as_one_that_was_put_back() {
    let vault = in_memory().await;
    insert(&vault, &session(1)).await;
    assert!(vault.cancel_move_out("uid 0".to_owned(), NOW).await.unwrap().is_none());
    vault.move_out(moved()).await.unwrap();
    assert_eq!(*vault.cancel_move_out("uid 0".to_owned(), NOW).await.unwrap().unwrap(), moved());
    let vault = reopened(vault).await;
    assert!(!is_fenced(&vault).await);
    assert!(vault.is_quarantined(session(1).id).unwrap());
    assert!(vault.rollback().unwrap().why.contains("moved out"), "{:?}", vault.rollback());
}
