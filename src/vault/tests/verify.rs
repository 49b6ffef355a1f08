//! Every kind of damage is found and named, and a store in order has none.

use super::*;
use crate::audit::What;
use crate::store::Batch;
use crate::vault::{Binding, Cursor, Finding, Intent};

/// Everything that is wrong with the store.
fn verify(vault: &Vault) -> Vec<Finding> {
    let (mut findings, mut cursor) = (Vec::new(), Some(Cursor::default()));
    while let Some(at) = cursor {
        assert_eq!(at.to_string().parse(), Ok(at.clone()), "a cursor survives the way to a peer and back");
        let page = vault.verify(&at).unwrap();
        findings.extend(page.findings);
        cursor = page.next;
    }
    findings
}

/// Sessions, a binding, an intent, history and outbox: a row in nearly every table.
async fn filled() -> Vault {
    let vault = in_memory().await;
    for number in 0..30 {
        let session = session(number);
        let mut change = vault.change(NOW);
        let what = What::RefreshDone { session: session.id, provider: session.provider.clone(), generation: 1 };
        change.insert(&session).unwrap().audit(what).unwrap();
        change.intend(session.id, &Intent { generation: 1, at: NOW }).unwrap();
        change.commit().await.unwrap();
    }
    let binding = Binding { name: "alice-canary".parse().unwrap(), issuer: "i".to_owned(), subject: "s".to_owned() };
    let mut change = vault.change(NOW);
    change.bind(&"corp-canary".parse().unwrap(), &binding).unwrap();
    change.commit().await.unwrap();
    vault
}

#[tokio::test]
async fn a_store_in_order_has_no_findings() {
    assert_eq!(verify(&filled().await), []);
    assert_eq!(verify(&in_memory().await), []);
}

#[tokio::test]
async fn a_record_that_was_changed_or_moved_is_found_where_it_stands() {
    for table in [Table::Sessions, Table::Bindings, Table::Intents, Table::History, Table::Outbox, Table::Meta] {
        let vault = filled().await;
        let (key, mut row) = rows(&*vault.store, table).swap_remove(0);
        *row.value.last_mut().unwrap() ^= 1;
        let mut batch = Batch::default();
        batch.set(table, &key, row.value);
        vault.store.write_if(batch).await.unwrap();
        let findings = verify(&vault);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].table, &findings[0].key), (table, &key));
        assert!(!findings[0].to_string().contains("canary"));
    }
}

#[tokio::test]
async fn an_index_entry_that_is_missing_is_found_at_its_session() {
    for table in [Table::Due, Table::Names, Table::Subjects, Table::Owners, Table::States] {
        let vault = filled().await;
        let mut batch = Batch::default();
        batch.unmark(table, &rows(&*vault.store, table)[0].0);
        vault.store.write_if(batch).await.unwrap();
        let findings = verify(&vault);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].table, Table::Sessions);
        assert_eq!(findings[0].what, format!("it has no entry in the index {table}"));
    }
}

#[tokio::test]
async fn an_index_entry_that_leads_nowhere_or_to_another_session_is_found() {
    let vault = filled().await;
    let (nobody, somebody) = (session(77).id, session(1).id);
    let mut batch = Batch::default();
    batch.mark(Table::Names, [&[7; 16], &nobody.as_bytes()[..]].concat());
    batch.mark(Table::States, [&[2], &somebody.as_bytes()[..]].concat());
    batch.mark(Table::Due, b"short");
    vault.store.write_if(batch).await.unwrap();
    let told: Vec<_> = verify(&vault).into_iter().map(|found| (found.table, found.session, found.what)).collect();
    let entry = "an index entry of a session that does not exist".to_owned();
    let other = "an index entry that does not agree with its session".to_owned();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.contains(&(Table::Names, Some(nobody), entry)), "{told:?}");
    assert!(told.contains(&(Table::States, Some(somebody), other)), "{told:?}");
    assert!(told.contains(&(Table::Due, None, "an index entry of no session".to_owned())), "{told:?}");
}

#[tokio::test]
async fn what_a_session_left_behind_is_found() {
    let vault = filled().await;
    let id = session(3).id;
    let old = vault.session(id).unwrap().unwrap();
    let mut batch = Batch::default();
    batch.unmark(Table::Sessions, id.as_bytes());
    vault.index_removed(&mut batch, &old.value);
    vault.store.write_if(batch).await.unwrap();
    let told: Vec<_> = verify(&vault).into_iter().map(|found| (found.table, found.session)).collect();
    assert_eq!(told, [(Table::Intents, Some(id)), (Table::History, Some(id))]);
}

#[tokio::test]
async fn a_page_ends_where_there_are_too_many_findings_and_the_next_one_goes_on() {
    let vault = in_memory().await;
    let mut batch = Batch::default();
    for number in 0..1000_u16 {
        batch.mark(Table::Names, [&[7; 16][..], &number.to_be_bytes(), b"abcdef"].concat());
    }
    vault.store.write_if(batch).await.unwrap();
    assert_eq!(verify(&vault).len(), 1000);
}
