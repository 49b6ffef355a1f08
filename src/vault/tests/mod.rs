//! The vault over a store in memory and over the real one: what is written is found, by every way there is to find it.

mod agreement;
mod backup;
mod history;
mod indexes;
mod logins;
mod migration;
mod moved_out;
mod opening;
mod outbox;
mod rollback;
mod rotation;
mod searches;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::reply::{Authentication, UserInfo};
use tokenkeeper_protocol::{Secret, SessionRef, UnixSeconds};

use super::Vault;
use crate::domain::{AccessToken, Owner, Session, State, Tokens};
use crate::seal::Keyring;
use crate::store::{MemoryStore, RocksStore, Row, Store, Table};

const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

async fn in_memory() -> Vault {
    Vault::open(Arc::new(MemoryStore::new()), Keyring::generate()).await.unwrap()
}

/// A vault on disk, and the directory that goes with the guard.
async fn on_disk() -> (Vault, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = RocksStore::open(&dir.path().join("store")).unwrap();
    (Vault::open(Arc::new(store), Keyring::generate()).await.unwrap(), dir)
}

/// The same vault after a restart.
async fn reopened(vault: Vault) -> Vault {
    let Vault { store, keyring, .. } = vault;
    Vault::open(store, keyring.into_inner()).await.unwrap()
}

fn rows(store: &dyn Store, table: Table) -> Vec<(Vec<u8>, Row)> {
    store.scan(table, &[], None, usize::MAX).unwrap()
}

/// A session like any other. Its words can be recognised wherever they turn up.
fn session(number: u8) -> Session {
    Session {
        id: SessionRef::from_random([number, 1, 2, 3, 4]),
        provider: "corp-canary".parse().unwrap(),
        user: UserInfo {
            name: "alice-canary".parse().unwrap(),
            subject: "subject-canary".to_owned(),
            issuer: "https://issuer-canary.example".to_owned(),
            email: Some("mail-canary@example.org".to_owned()),
        },
        device: Some("device-canary".to_owned()),
        opened_by: Owner::Unit { unit: "unit-canary.service".to_owned(), uid: 7 },
        opened_at: NOW,
        ends_at: NOW + Duration::from_hours(24),
        last_used_at: NOW,
        authentication: Authentication { acr: None, amr: Vec::new(), auth_time: None },
        state: State::Active,
        tokens: Some(Tokens {
            access: AccessToken {
                token: Secret::from("access-canary"),
                token_type: "Bearer".to_owned(),
                scope: "scope-canary".to_owned(),
                obtained_at: NOW,
                expires_at: NOW + Duration::from_mins(5),
            },
            refresh: Some(Secret::from("refresh-canary")),
            id: Some(Secret::from("id-canary")),
            refresh_life: None,
        }),
        generation: 1,
        refreshes: 0,
        trouble: None,
        due_at: Some(NOW + Duration::from_mins(3)),
        prune_at: NOW + Duration::from_hours(24),
        scopes: Vec::new(),
        told: 0,
        resource: Vec::new(),
        era: 0,
    }
}

async fn insert(vault: &Vault, session: &Session) {
    let mut change = vault.change(NOW);
    change.insert(session).unwrap();
    change.commit().await.unwrap();
}

async fn update(vault: &Vault, id: SessionRef, edit: impl FnOnce(&mut Session)) {
    let old = vault.session(id).unwrap().unwrap();
    let mut new = old.value.clone();
    edit(&mut new);
    let mut change = vault.change(NOW);
    change.update(&old, &new).unwrap();
    change.commit().await.unwrap();
}

async fn remove(vault: &Vault, id: SessionRef) {
    let old = vault.session(id).unwrap().unwrap();
    let mut change = vault.change(NOW);
    change.remove(&old).unwrap();
    change.commit().await.unwrap();
}
