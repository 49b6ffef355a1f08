//! What was backed up comes back as it was, into another store with other keys.

use std::collections::BTreeSet;

use super::*;
use crate::audit::What;
use crate::vault::{BackupError, Binding, Content, Cursor, Intent};

/// What the refresh of a backed-up session goes by.
const LATER: UnixSeconds = UnixSeconds(NOW.0 + 86_400);

async fn filled() -> Vault {
    let vault = in_memory().await;
    for number in 0..200 {
        let session = session(number);
        let mut change = vault.change(NOW);
        let what = What::RefreshDone { session: session.id, provider: session.provider.clone(), generation: 1 };
        change.insert(&session).unwrap().audit(what).unwrap();
        change.commit().await.unwrap();
    }
    let mut change = vault.change(NOW);
    change.intend(session(5).id, &Intent { generation: 1, at: NOW }).unwrap();
    for (provider, name) in [("corp-canary", "bob"), ("gone", "carol"), ("known", "dora")] {
        let binding = Binding { name: name.parse().unwrap(), issuer: "i".to_owned(), subject: "s".to_owned() };
        change.bind(&provider.parse().unwrap(), &binding).unwrap();
    }
    change.commit().await.unwrap();
    vault
}

fn backup(vault: &Vault) -> Vec<u8> {
    let mut bytes = Vec::new();
    let known = BTreeSet::from(["known".parse().unwrap()]);
    let done = vault.back_up(&known, NOW, false, &mut bytes).unwrap();
    assert_eq!(done.sessions, 200);
    bytes
}

async fn restored(bytes: &[u8], try_stale: bool) -> Vault {
    let vault = in_memory().await;
    let content = Content::check(bytes).unwrap();
    vault.restore(content, bytes, try_stale, LATER).await.unwrap();
    vault
}

#[tokio::test]
async fn sessions_bindings_intents_and_histories_come_back_as_they_were() {
    let vault = filled().await;
    let bytes = backup(&vault);
    let new = restored(&bytes, true).await;
    for number in 0..200 {
        let id = session(number).id;
        let (old, new_one) = (vault.session(id).unwrap().unwrap(), new.session(id).unwrap().unwrap());
        assert_eq!(old.value, new_one.value);
        assert_eq!(vault.history(&old.value, None, 9).unwrap(), new.history(&new_one.value, None, 9).unwrap());
    }
    assert_eq!(new.unsettled().unwrap(), vault.unsettled().unwrap());
    let bound =
        |provider: &str, name: &str| new.binding(&provider.parse().unwrap(), &name.parse().unwrap()).unwrap().is_some();
    assert_eq!([bound("corp-canary", "bob"), bound("gone", "carol"), bound("known", "dora")], [true, false, true]);
    assert_eq!(new.count_states().unwrap(), vault.count_states().unwrap());
    let mut cursor = Some(Cursor::default());
    while let Some(at) = cursor {
        let page = new.verify(&at).unwrap();
        assert_eq!(page.findings, []);
        cursor = page.next;
    }
}

#[tokio::test]
async fn refresh_tokens_that_may_have_been_spent_are_in_quarantine_until_somebody_knows_better() {
    let bytes = backup(&filled().await);
    let (new, id) = (restored(&bytes, false).await, session(1).id);
    assert!(new.is_quarantined(id).unwrap());
    assert!(new.rollback().unwrap().why.contains("restored from a backup of 2026-"));
    let new = reopened(new).await;
    assert!(new.is_quarantined(id).unwrap(), "over a restart, too");
    new.accept_rollback("uid 0".to_owned(), LATER).await.unwrap();
    assert!(!new.is_quarantined(id).unwrap());
    assert!(!restored(&bytes, true).await.is_quarantined(id).unwrap());
}

#[tokio::test]
async fn a_move_is_fresh_for_a_day_and_a_backup_never() {
    let vault = filled().await;
    let content = |is_move| {
        let mut bytes = Vec::new();
        vault.back_up(&BTreeSet::new(), NOW, is_move, &mut bytes).unwrap();
        Content::check(&bytes[..]).unwrap()
    };
    let days = |days| NOW + Duration::from_hours(24) * days;
    assert!(content(true).is_fresh(days(1)) && !content(true).is_fresh(days(2)));
    assert!(!content(false).is_fresh(NOW));
    // What was an old copy before it was moved is one afterwards.
    vault.note_rollback(None, "it was put back".to_owned(), NOW).await.unwrap();
    assert!(!content(true).is_fresh(NOW));
    vault.accept_rollback("uid 0".to_owned(), NOW).await.unwrap();
    assert!(content(true).is_fresh(NOW));
}

#[tokio::test]
async fn a_store_that_was_not_restored_to_its_end_is_not_served() {
    let bytes = backup(&filled().await);
    let content = Content::check(&bytes[..]).unwrap();
    let vault = in_memory().await;
    assert!(vault.restore(content, &bytes[..bytes.len() / 2], true, LATER).await.is_err());
    let Vault { store, keyring, .. } = vault;
    let error = Vault::open(store, keyring.into_inner()).await.err().unwrap();
    assert!(matches!(error, crate::vault::VaultError::HalfRestored), "{error}");
}

#[tokio::test]
async fn the_lines_are_json_with_the_tokens_in_them_and_references_as_people_write_them() {
    let bytes = backup(&filled().await);
    let lines: Vec<serde_json::Value> =
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["header"]["format"], 1);
    let session = &lines[1]["session"];
    assert_eq!(session["session"]["id"].as_str().unwrap().len(), 8);
    assert_eq!(session["session"]["tokens"]["refresh"], "refresh-canary");
    assert_eq!(session["history"][0]["number"], 0);
    assert_eq!(lines.last().unwrap()["end"]["sessions"], 200);
}

#[tokio::test]
async fn a_backup_that_was_cut_or_changed_is_none() {
    let bytes = backup(&filled().await);
    let lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let without = |left_out: usize| {
        let kept = lines.iter().enumerate().filter(|(number, _)| *number != left_out);
        kept.flat_map(|(_, line)| line.iter().copied()).collect::<Vec<_>>()
    };
    let renamed = String::from_utf8(bytes.clone()).unwrap().replacen("alice-canary", "mallo-canary", 1).into_bytes();
    for damaged in [without(0), without(7), without(lines.len() - 1), bytes[..900].to_vec(), Vec::new(), renamed] {
        let error = Content::check(&damaged[..]).unwrap_err();
        assert!(matches!(error, BackupError::NotWhole(_)), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    let newer = String::from_utf8(bytes).unwrap().replacen("\"format\":1", "\"format\":2", 1);
    assert!(matches!(Content::check(newer.as_bytes()), Err(BackupError::Newer { found: 2 })));
}

#[tokio::test]
async fn a_store_with_sessions_is_not_restored_into() {
    let vault = filled().await;
    let bytes = backup(&vault);
    let content = Content::check(&bytes[..]).unwrap();
    let error = vault.restore(content, &bytes[..], true, LATER).await.unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty), "{error}");

    // Nor into one whose names stand for somebody already.
    let named = in_memory().await;
    let mut change = named.change(NOW);
    let binding = Binding { name: "bob".parse().unwrap(), issuer: "i".to_owned(), subject: "other".to_owned() };
    change.bind(&"corp-canary".parse().unwrap(), &binding).unwrap();
    change.commit().await.unwrap();
    let error = named.restore(content, &bytes[..], true, LATER).await.unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty), "{error}");
}

#[tokio::test]
async fn a_record_that_does_not_open_is_no_part_of_a_backup_and_so_there_is_none() {
    let vault = filled().await;
    let (key, mut row) = rows(&*vault.store, Table::Sessions).swap_remove(3);
    *row.value.last_mut().unwrap() ^= 1;
    let mut batch = crate::store::Batch::default();
    batch.set(Table::Sessions, &key, row.value);
    vault.store.write_if(batch).await.unwrap();
    let error = vault.back_up(&BTreeSet::new(), NOW, false, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("verify"), "{error}");
}

#[tokio::test]
async fn a_backup_shows_one_moment_whatever_is_written_while_it_is_taken() {
    /// Changes the store with the first bytes that are written.
    struct Meddling<'a>(&'a Vault, Vec<u8>);
    impl std::io::Write for Meddling<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.1.is_empty() {
                futures_executor::block_on(async {
                    remove(self.0, session(9).id).await;
                    update(self.0, session(10).id, |session| session.refreshes = 77).await;
                });
            }
            self.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (vault, _dir) = on_disk().await;
    for number in 0..20 {
        insert(&vault, &session(number)).await;
    }
    let mut out = Meddling(&vault, Vec::new());
    let done = vault.back_up(&BTreeSet::new(), NOW, false, &mut out).unwrap();
    assert_eq!(done.sessions, 20);
    let new = in_memory().await;
    new.restore(Content::check(&out.1[..]).unwrap(), &out.1[..], true, LATER).await.unwrap();
    assert_eq!(new.session(session(9).id).unwrap().unwrap().value, session(9));
    assert_eq!(new.session(session(10).id).unwrap().unwrap().value.refreshes, 0);
}
