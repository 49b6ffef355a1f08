//! Indexes that somebody wrote to: the record has the last word.

use super::*;
use crate::store::Batch;
use crate::vault::{Disagreement, Scope};

async fn forge(vault: &Vault, table: Table, key: &[u8]) {
    let mut batch = Batch::default();
    batch.mark(table, key);
    vault.store.write_if(batch).await.unwrap();
}

async fn two() -> (Vault, Session, Session) {
    let (vault, alice) = (in_memory().await, session(1));
    let mut mallory = session(2);
    mallory.user.name = "mallory".parse().unwrap();
    mallory.user.subject = "subject-mallory".to_owned();
    mallory.opened_by = Owner::Uid(666);
    insert(&vault, &alice).await;
    insert(&vault, &mallory).await;
    (vault, alice, mallory)
}

#[tokio::test]
async fn a_session_that_an_index_gives_to_somebody_else_is_not_found_there() {
    let (vault, alice, mallory) = two().await;
    let of_alice = alice.id.as_bytes();
    for (table, scope) in [
        (Table::Names, Scope::Named(&mallory.provider, &mallory.user.name)),
        (Table::Owners, Scope::Owned(&mallory.opened_by, None)),
        (Table::Owners, Scope::Owned(&mallory.opened_by, Some(&mallory.provider))),
    ] {
        let found = || vault.page(scope, None, 10).unwrap().sessions;
        assert_eq!(found().len(), 1);
        let all = rows(&*vault.store, table);
        let prefixes = all.iter().map(|(key, _)| &key[..key.len() - 8]).collect::<std::collections::BTreeSet<_>>();
        for prefix in prefixes {
            forge(&vault, table, &[prefix, of_alice].concat()).await;
        }
        let found = found();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].value.id, mallory.id);
    }
    assert!(vault.disagreements() >= 3);
}

#[tokio::test]
async fn what_agrees_is_not_complained_about() {
    let (vault, alice, mallory) = two().await;
    for session in [&alice, &mallory] {
        assert_eq!(vault.check_session(session).unwrap(), []);
    }
    for table in Table::INDEXES {
        for (key, _) in rows(&*vault.store, table) {
            assert_eq!(vault.check_entry(table, &key).unwrap(), None);
        }
    }
    assert_eq!(vault.disagreements(), 0);
}

#[tokio::test]
async fn every_entry_that_is_missing_or_too_many_is_named_and_mended() {
    let (vault, alice, _) = two().await;
    let everything = || Table::INDEXES.map(|table| rows(&*vault.store, table));
    let right = everything();
    for table in Table::INDEXES {
        let (key, _) =
            rows(&*vault.store, table).into_iter().find(|(key, _)| key.ends_with(alice.id.as_bytes())).unwrap();
        let mut batch = Batch::default();
        batch.unmark(table, &key);
        vault.store.write_if(batch).await.unwrap();
        let found = vault.check_session(&alice).unwrap();
        assert!(matches!(&found[..], [Disagreement::Missing(id, entry)] if *id == alice.id && entry.key == key));
        assert!(vault.mend(&found[0]).await.unwrap());

        let nobody = SessionRef::from_random([9; 5]);
        for stray in [alice.id, nobody] {
            let key = [&[7; 16][..], stray.as_bytes()].concat();
            forge(&vault, table, &key).await;
            let found = vault.check_entry(table, &key).unwrap().unwrap();
            assert!(matches!(&found, Disagreement::Stray(id, _) if *id == stray));
            assert!(vault.mend(&found).await.unwrap());
        }
        forge(&vault, table, b"?").await;
        let found = vault.check_entry(table, b"?").unwrap().unwrap();
        assert!(matches!(&found, Disagreement::Unreadable(_)) && vault.mend(&found).await.unwrap());
    }
    assert_eq!(everything(), right);
}

#[tokio::test]
async fn an_agenda_that_does_not_fit_its_sessions_is_put_right_once_it_was_attended_to() {
    let (vault, alice, _) = two().await;
    let right = rows(&*vault.store, Table::Due);
    let early = crate::vault::index::agenda_key(crate::vault::index::Agenda::Attend, NOW, alice.id);
    forge(&vault, Table::Due, &early).await;
    let due = vault.due(NOW, None, 10).unwrap();
    assert_eq!(due, [(NOW, alice.id)]);
    vault.mend_due(None, &due).await.unwrap();
    assert_eq!(rows(&*vault.store, Table::Due), right);
    vault.mend_due(None, &vault.due(NOW + Duration::from_hours(1), None, 10).unwrap()).await.unwrap();
    assert_eq!(rows(&*vault.store, Table::Due), right, "what is right stays");
}
