//! What happened to a session, and that it is neither too much nor left behind.

use super::*;
use crate::audit::What;
use crate::domain::Peer;

async fn refresh(vault: &Vault, id: SessionRef) {
    let old = vault.session(id).unwrap().unwrap();
    let mut new = old.value.clone();
    new.generation += 1;
    let event = What::RefreshDone { session: id, provider: new.provider.clone(), generation: new.generation };
    let mut change = vault.change(at(new.generation));
    change.update(&old, &new).unwrap().audit(event).unwrap();
    change.commit().await.unwrap();
}

async fn hand_out(vault: &Vault, id: SessionRef, uid: u32, pid: i32) {
    let session = vault.session(id).unwrap().unwrap().value;
    let peer = Peer { uid, gids: vec![], pid, unit: None };
    let mut change = vault.change(at(session.generation));
    change.hand_out(&peer, id, session.told, session.generation).unwrap();
    change.commit().await.unwrap();
}

fn at(seconds: u64) -> UnixSeconds {
    NOW + Duration::from_secs(seconds)
}

/// In a word each, the newest first, read in pages of `limit`.
fn told(vault: &Vault, id: SessionRef, limit: usize) -> Vec<String> {
    let session = vault.session(id).unwrap().unwrap().value;
    let (mut words, mut before) = (Vec::new(), None);
    loop {
        let page = vault.history(&session, before, limit).unwrap();
        words.extend(page.events.into_iter().map(|event| match event.what {
            What::RefreshDone { generation, .. } => format!("refresh {generation}"),
            What::TokenHandedOut { peer, generation, .. } => format!("{generation} to {peer}"),
            other => format!("{other:?}"),
        }));
        match page.next {
            Some(next) => before = Some(next),
            None => return words,
        }
    }
}

#[tokio::test]
async fn a_history_tells_changes_and_hand_outs_newest_first_whatever_the_size_of_a_page() {
    let vault = in_memory().await;
    let (id, other) = (session(1).id, session(2).id);
    insert(&vault, &session(1)).await;
    insert(&vault, &session(2)).await;
    for _ in 0..3 {
        refresh(&vault, id).await;
        hand_out(&vault, id, 7, 70).await;
    }
    refresh(&vault, other).await;
    let expected = ["4 to uid 7 (pid 70)", "refresh 4", "3 to uid 7 (pid 70)", "refresh 3"];
    for limit in [1, 2, 3, 50] {
        let words = told(&vault, id, limit);
        assert_eq!((&words[..4], words.len()), (&expected.map(str::to_owned)[..], 6), "pages of {limit}");
    }
    assert_eq!(told(&vault, other, 50), ["refresh 2"]);
    assert_eq!(vault.history(&session(1), Some(u64::MAX), 50).unwrap().next, None);
}

#[tokio::test]
async fn a_token_is_told_once_for_each_peer_and_only_so_many_peers_are() {
    let vault = in_memory().await;
    let id = session(1).id;
    insert(&vault, &session(1)).await;
    refresh(&vault, id).await;
    for pid in 0..5 {
        hand_out(&vault, id, 7, pid).await;
    }
    assert_eq!(told(&vault, id, 50), ["2 to uid 7 (pid 0)", "refresh 2"]);
    for uid in 100..200 {
        hand_out(&vault, id, uid, 1).await;
    }
    assert_eq!(told(&vault, id, 50).len(), 1 + 8);
    refresh(&vault, id).await;
    hand_out(&vault, id, 7, 5).await;
    assert_eq!(told(&vault, id, 50)[..2], ["3 to uid 7 (pid 5)", "refresh 3"]);
}

#[tokio::test]
async fn the_oldest_entries_go_when_a_hundred_newer_ones_have_come() {
    let (vault, _dir) = on_disk().await;
    let id = session(1).id;
    insert(&vault, &session(1)).await;
    for _ in 0..130 {
        refresh(&vault, id).await;
        hand_out(&vault, id, 7, 70).await;
    }
    assert_eq!(rows(&*vault.store, Table::History).len(), 200);
    let words = told(&vault, id, 30);
    assert_eq!((words.len(), &*words[1], &*words[199]), (200, "refresh 131", "refresh 32"));
}

#[tokio::test]
async fn a_removed_session_leaves_no_history_and_takes_no_other_with_it() {
    let vault = in_memory().await;
    for number in [1, 2] {
        insert(&vault, &session(number)).await;
        refresh(&vault, session(number).id).await;
        hand_out(&vault, session(number).id, 7, 70).await;
    }
    let old = vault.session(session(1).id).unwrap().unwrap();
    let mut change = vault.change(NOW);
    let removed = What::Removed { session: old.value.id, provider: old.value.provider.clone() };
    change.remove(&old).unwrap().audit(removed).unwrap();
    change.commit().await.unwrap();
    let left = rows(&*vault.store, Table::History);
    assert!(left.len() == 2 && left.iter().all(|(key, _)| key.starts_with(session(2).id.as_bytes())));
}

#[tokio::test]
async fn a_change_that_was_not_written_is_neither_told_nor_counted() {
    let vault = in_memory().await;
    insert(&vault, &session(1)).await;
    let stale = vault.session(session(1).id).unwrap().unwrap();
    refresh(&vault, session(1).id).await;
    let (id, provider) = (stale.value.id, stale.value.provider.clone());
    let mut change = vault.change(NOW);
    let event = What::RefreshDone { session: id, provider: provider.clone(), generation: 9 };
    change.update(&stale, &stale.value).unwrap().audit(event).unwrap();
    assert!(change.commit().await.is_err());
    assert_eq!(told(&vault, id, 50), ["refresh 2"]);
    assert_eq!(vault.counts().refreshes, [((provider, "done"), 1)].into());
}

#[tokio::test]
async fn an_entry_that_is_damaged_is_left_out() {
    let vault = in_memory().await;
    let id = session(1).id;
    insert(&vault, &session(1)).await;
    refresh(&vault, id).await;
    refresh(&vault, id).await;
    let (key, _) = rows(&*vault.store, Table::History).remove(0);
    let mut batch = crate::store::Batch::default();
    batch.set(Table::History, key, b"rust".to_vec());
    vault.store.write_if(batch).await.unwrap();
    assert_eq!(told(&vault, id, 50), ["refresh 3"]);
}
