//! Every index says what the sessions say, whatever happened to them before.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::domain::{EndReason, LoginReason};
use crate::vault::VaultError;

const INDEXES: [Table; 5] = [Table::Due, Table::Names, Table::Subjects, Table::Owners, Table::States];

type Entries = BTreeSet<(Table, Vec<u8>)>;

/// What the indexes should hold, written down from what DESIGN says of each.
fn entries_of(vault: &Vault, session: &Session) -> Entries {
    let blind = |label, parts: &[&str]| {
        let parts: Vec<_> = parts.iter().map(|part| part.as_bytes()).collect();
        vault.keyring.load().blind(label, &parts).to_vec()
    };
    let (provider, owner, user) = (session.provider.as_str(), session.opened_by.to_string(), &session.user);
    let state = match session.state {
        State::Active => 0,
        State::NeedsLogin { .. } => 1,
        State::Ended { .. } => 2,
    };
    let at = |kind: u8, at: UnixSeconds| [&[kind][..], &u64::try_from(at.0).unwrap().to_be_bytes()].concat();
    let mut prefixes = vec![
        (Table::Names, blind("name", &[provider, user.name.as_str()])),
        (Table::Subjects, blind("subject", &[provider, &user.issuer, &user.subject])),
        (Table::Owners, blind("owner", &[&owner])),
        (Table::Owners, blind("owner-at", &[&owner, provider])),
        (Table::Owners, blind("provider", &[provider])),
        (Table::States, vec![state]),
        (Table::Due, at(1, session.prune_at)),
    ];
    prefixes.extend(session.due_at.map(|due| (Table::Due, at(0, due))));
    prefixes.into_iter().map(|(table, prefix)| (table, [&prefix[..], session.id.as_bytes()].concat())).collect()
}

fn entries_in(vault: &Vault) -> Entries {
    let of_table = |table| rows(&*vault.store, table).into_iter().map(move |(key, _)| (table, key));
    INDEXES.into_iter().flat_map(of_table).collect()
}

fn assert_exact(vault: &Vault, sessions: &BTreeMap<SessionRef, Session>) {
    let expected: Entries = sessions.values().flat_map(|session| entries_of(vault, session)).collect();
    assert_eq!(entries_in(vault), expected);
    for (id, session) in sessions {
        assert_eq!(vault.session(*id).unwrap().unwrap().value, *session);
    }
}

fn edit_at_random(random: &mut StdRng, session: &mut Session) {
    let later = |random: &mut StdRng| NOW + Duration::from_secs(random.random_range(0..1000));
    match random.random_range(0..7) {
        0 => session.due_at = Some(later(random)),
        1 => session.due_at = None,
        2 => session.prune_at = later(random),
        3 => session.state = State::NeedsLogin { reason: LoginReason::SessionTooOld, since: NOW },
        4 => session.state = State::Ended { reason: EndReason::LoggedOut, since: NOW },
        5 => session.user.name = format!("name-{}", random.random_range(0..3)).parse().unwrap(),
        _ => session.opened_by = Owner::Uid(random.random_range(0..3)),
    }
}

async fn stays_exact(vault: &Vault, seed: u64, steps: usize) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut sessions = BTreeMap::new();
    for _ in 0..steps {
        let mut one = session(random.random_range(0..12));
        one.provider = format!("provider-{}", random.random_range(0..2)).parse().unwrap();
        match sessions.get_mut(&one.id) {
            None => {
                edit_at_random(&mut random, &mut one);
                insert(vault, &one).await;
                sessions.insert(one.id, one);
            }
            Some(_) if random.random_ratio(1, 4) => {
                remove(vault, one.id).await;
                sessions.remove(&one.id);
            }
            Some(known) => {
                edit_at_random(&mut random, known);
                edit_at_random(&mut random, known);
                update(vault, one.id, |stored| *stored = known.clone()).await;
            }
        }
        assert_exact(vault, &sessions);
    }
    for id in sessions.into_keys() {
        remove(vault, id).await;
    }
    assert_eq!(entries_in(vault), Entries::new(), "what is removed leaves nothing behind");
}

#[tokio::test]
async fn after_any_changes_the_indexes_are_those_of_the_sessions_in_memory() {
    for seed in 0..8 {
        stays_exact(&in_memory().await, seed, 150).await;
    }
}

#[tokio::test]
async fn after_any_changes_the_indexes_are_those_of_the_sessions_on_disk() {
    let (vault, _dir) = on_disk().await;
    stays_exact(&vault, 99, 60).await;
}

#[tokio::test]
async fn a_change_that_builds_on_an_old_reading_writes_nothing() {
    let vault = in_memory().await;
    let first = session(1);
    insert(&vault, &first).await;
    let old = vault.session(first.id).unwrap().unwrap();
    update(&vault, first.id, |session| session.generation = 2).await;
    let everything = || Table::ALL.map(|table| rows(&*vault.store, table));
    let before = everything();

    let late = Session { due_at: None, generation: 9, ..old.value.clone() };
    let mut update = vault.change(NOW);
    update.update(&old, &late).unwrap().insert(&session(2)).unwrap();
    update.audit(crate::audit::What::ConfigReloaded).unwrap();
    let mut remove = vault.change(NOW);
    remove.remove(&old).unwrap();
    let mut expect = vault.change(NOW);
    expect.unchanged(&old).intend(first.id, &crate::vault::Intent { generation: 1, at: NOW }).unwrap();
    let mut insert = vault.change(NOW);
    insert.insert(&first).unwrap();
    for change in [update, remove, expect, insert] {
        assert!(matches!(change.commit().await, Err(VaultError::Conflict)));
    }
    assert_eq!(everything(), before);
}

#[tokio::test]
async fn a_session_that_is_read_again_is_as_it_is_now_or_gone() {
    let vault = in_memory().await;
    let first = session(1);
    insert(&vault, &first).await;
    let read = || vault.session(first.id).unwrap();
    let before = read().unwrap();
    assert_eq!(vault.session_again(&before).unwrap(), Some(before.clone()));
    update(&vault, first.id, |session| session.generation = 2).await;
    assert_eq!(vault.session_again(&before).unwrap(), read());
    assert_ne!(read(), Some(before.clone()));
    let mut removal = vault.change(NOW);
    removal.remove(&read().unwrap()).unwrap();
    removal.commit().await.unwrap();
    assert_eq!(vault.session_again(&before).unwrap(), None);
}

#[tokio::test]
async fn a_user_who_was_renamed_is_found_under_the_new_name_only() {
    let vault = in_memory().await;
    let one = session(1);
    insert(&vault, &one).await;
    let (old, new) = (one.user.name.clone(), "alice-2".parse().unwrap());
    update(&vault, one.id, |session| session.user.name = "alice-2".parse().unwrap()).await;
    let named = |name| vault.page(crate::vault::Scope::Named(&one.provider, name), None, 10).unwrap().sessions.len();
    assert_eq!((named(&old), named(&new)), (0, 1));
}
