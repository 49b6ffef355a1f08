//! What a store shows to those who have no keys, and what it shows to those with the wrong ones.

use super::*;
use crate::audit::What;
use crate::store::Batch;
use crate::vault::{Binding, VaultError};

/// A vault with something in every table.
async fn full() -> Vault {
    let vault = in_memory().await;
    let one = session(1);
    let mut change = vault.change(NOW);
    let binding =
        Binding { name: one.user.name.clone(), issuer: one.user.issuer.clone(), subject: one.user.subject.clone() };
    change.insert(&one).unwrap().bind(&one.provider, &binding).unwrap();
    change.intend(one.id, &crate::vault::Intent { generation: 1, at: NOW }).unwrap();
    let id = tokenkeeper_protocol::LoginId::from_random([1; 16]);
    change.keep_login(id, 0, &super::logins::login(NOW)).unwrap();
    let (peer, provider) = ("unit-canary.service".to_owned(), one.provider.clone());
    change.audit(What::LoginCompleted { peer, provider, session: one.id, user: "alice-canary".to_owned() }).unwrap();
    change.commit().await.unwrap();
    vault
}

#[tokio::test]
async fn nothing_of_a_user_stands_in_the_clear() {
    let vault = full().await;
    let written =
        [Table::Sessions, Table::Names, Table::Bindings, Table::Logins, Table::Outbox, Table::Intents, Table::History];
    for table in written {
        assert!(!rows(&*vault.store, table).is_empty(), "{table} is part of the test");
    }
    for (key, row) in Table::ALL.into_iter().flat_map(|table| rows(&*vault.store, table)) {
        for bytes in [key, row.value] {
            assert!(!bytes.windows(6).any(|window| window == b"canary"));
        }
    }
}

#[tokio::test]
async fn a_store_opens_with_its_own_keyring_only() {
    let Vault { store, keyring, .. } = full().await;
    let foreign = Vault::open(Arc::clone(&store), Keyring::generate()).await;
    assert!(matches!(foreign, Err(VaultError::ForeignKeyring)));
    let vault = Vault::open(store, keyring.into_inner()).await.unwrap();
    let as_told = Session { told: 1, ..session(1) };
    assert_eq!(vault.session(as_told.id).unwrap().unwrap().value, as_told);
}

#[tokio::test]
async fn a_store_with_sessions_is_not_adopted_by_a_keyring_that_cannot_prove_itself() {
    let Vault { store, keyring, .. } = full().await;
    let mut batch = Batch::default();
    batch.unmark(Table::Meta, "sentinel");
    store.write_if(batch).await.unwrap();
    assert!(matches!(Vault::open(store, keyring.into_inner()).await, Err(VaultError::ForeignKeyring)));
}

#[tokio::test]
async fn a_record_does_not_open_in_the_place_of_another() {
    let vault = in_memory().await;
    for number in [1, 2] {
        insert(&vault, &session(number)).await;
    }
    let row = vault.store.read(Table::Sessions, session(1).id.as_bytes()).unwrap().unwrap();
    let mut batch = Batch::default();
    batch.unmark(Table::Sessions, session(2).id.as_bytes());
    vault.store.write_if(batch).await.unwrap();
    let mut batch = Batch::default();
    batch.put(Table::Sessions, session(2).id.as_bytes(), 0, row.value);
    vault.store.write_if(batch).await.unwrap();
    assert!(matches!(vault.session(session(2).id), Err(VaultError::Sealed(_))));
    assert!(vault.session(session(1).id).is_ok());
}
