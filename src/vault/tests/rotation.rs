//! Rotating epochs: whatever happens meanwhile, everything opens, and in the end nothing of the old epoch is left.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::Clock;
use crate::seal::{KeepKeyring, KeptError, epoch_of};
use crate::vault::{BeginError, Rotation};

/// As many records in a second as the machine can.
const AT_ONCE: u64 = 1_000_000_000;

/// Remembers the keyring that was kept last, as a disk does; keeps none once it has kept so many.
struct Shelf {
    kept: Mutex<Keyring>,
    left: AtomicUsize,
}

impl Shelf {
    fn of(vault: &Vault) -> Arc<Self> {
        Arc::new(Self { kept: Mutex::new((*vault.keyring()).clone()), left: AtomicUsize::new(usize::MAX) })
    }

    fn kept(&self) -> Keyring {
        self.kept.lock().unwrap().clone()
    }
}

impl KeepKeyring for Shelf {
    fn keep(&self, keyring: &Keyring) -> Result<(), KeptError> {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map_err(|_| KeptError::Missing { path: "/gone".into() })?;
        *self.kept.lock().unwrap() = keyring.clone();
        Ok(())
    }

    fn set_recovery(&self, keyring: &Keyring, _recovery: &[String]) -> Result<(), KeptError> {
        self.keep(keyring)
    }

    fn recovery(&self) -> Vec<String> {
        Vec::new()
    }
}

fn rotation(vault: &Arc<Vault>, shelf: &Arc<Shelf>) -> Arc<Rotation> {
    Arc::new(Rotation::new(Arc::clone(vault), Arc::clone(shelf) as _, Clock::manual(NOW), AT_ONCE))
}

/// Lets it run until the old keys are gone.
async fn finish(rotation: &Arc<Rotation>) {
    let stop = CancellationToken::new();
    let done = async {
        while rotation.epochs().len() > 1 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        stop.cancel();
    };
    let both = async { tokio::join!(Arc::clone(rotation).run(stop.clone()), done) };
    tokio::time::timeout(std::time::Duration::from_secs(20), both).await.expect("it comes to its end");
}

/// The epochs of all records.
fn epochs(vault: &Vault) -> Vec<u32> {
    let rows = Table::ALL.into_iter().flat_map(|table| rows(&*vault.store, table));
    let mut epochs: Vec<_> = rows.filter_map(|(_, row)| epoch_of(&row.value)).collect();
    epochs.sort_unstable();
    epochs.dedup();
    epochs
}

async fn with_sessions(count: u8) -> Arc<Vault> {
    let vault = Arc::new(in_memory().await);
    for number in 0..count {
        insert(&vault, &session(number)).await;
    }
    vault
}

#[tokio::test]
async fn a_rotation_seals_everything_anew_and_destroys_the_old_key() {
    let vault = with_sessions(200).await;
    let shelf = Shelf::of(&vault);
    let rotation = rotation(&vault, &shelf);
    let before = vault.session(session(7).id).unwrap().unwrap();
    assert_eq!(rotation.progress(), None);
    assert_eq!(rotation.begin().unwrap(), 2);
    assert_eq!(shelf.kept().epochs().collect::<Vec<_>>(), [1, 2], "the new key is durable before it is used");
    assert!(matches!(rotation.begin(), Err(BeginError::UnderWay)));
    assert_eq!(epochs(&vault), [1]);
    finish(&rotation).await;
    assert_eq!(epochs(&vault), [2]);
    assert_eq!(shelf.kept().epochs().collect::<Vec<_>>(), [2]);
    assert_eq!(vault.session(session(7).id).unwrap().unwrap(), before, "content and version are as they were");
    let Ok(vault) = Arc::try_unwrap(vault).map_err(|_| drop(rotation)) else { return };
    reopened(vault).await;
}

#[tokio::test]
async fn what_is_changed_during_a_rotation_is_neither_lost_nor_put_back() {
    let vault = with_sessions(100).await;
    let rotation = rotation(&vault, &Shelf::of(&vault));
    rotation.begin().unwrap();
    let changing = async {
        for round in 1..=5 {
            for number in 0..100 {
                update(&vault, session(number).id, |session| session.refreshes = round).await;
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::join!(finish(&rotation), changing);
    for number in 0..100 {
        assert_eq!(vault.session(session(number).id).unwrap().unwrap().value.refreshes, 5);
    }
    assert_eq!(epochs(&vault), [2]);
}

#[tokio::test]
async fn the_old_key_is_not_destroyed_while_a_change_may_still_be_sealed_with_it() {
    let vault = with_sessions(3).await;
    let shelf = Shelf::of(&vault);
    let rotation = rotation(&vault, &shelf);
    let mut slow = vault.change(NOW);
    slow.insert(&session(9)).unwrap().audit(crate::audit::What::DaemonStopped).unwrap();
    rotation.begin().unwrap();
    let late = async {
        for _ in 0..200 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        assert_eq!(rotation.epochs(), [1, 2]);
        slow.commit().await.unwrap();
    };
    tokio::join!(finish(&rotation), late);
    assert_eq!(epochs(&vault), [2]);
    assert!(vault.session(session(9).id).unwrap().is_some());
}

#[tokio::test]
async fn a_rotation_that_was_interrupted_at_any_point_is_gone_on_from() {
    for pages in 0..6 {
        let vault = with_sessions(150).await;
        let shelf = Shelf::of(&vault);
        rotation(&vault, &shelf).begin().unwrap();
        let mut after = None::<Vec<u8>>;
        for _ in 0..pages {
            after = vault.reseal_page(Table::Sessions, after.as_deref(), 64).unwrap().last;
        }
        // The process ends here: what is left is the store and the keyring that was kept.
        let vault = Arc::new(Vault::open(Arc::clone(&vault.store), shelf.kept()).await.unwrap());
        let rotation = rotation(&vault, &shelf);
        assert!(rotation.progress().is_some());
        finish(&rotation).await;
        assert_eq!(epochs(&vault), [2], "{pages} pages");
        let vault = Vault::open(Arc::clone(&vault.store), shelf.kept()).await.unwrap();
        assert!(vault.session(session(149).id).unwrap().is_some());
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_made_durable_is_not_used() {
    let vault = with_sessions(3).await;
    let shelf = Shelf::of(&vault);
    shelf.left.store(0, Ordering::SeqCst);
    let rotation = rotation(&vault, &shelf);
    assert!(matches!(rotation.begin(), Err(BeginError::Kept(_))));
    insert(&vault, &session(9)).await;
    assert_eq!((rotation.epochs(), epochs(&vault)), (vec![1], vec![1]));
}

#[tokio::test]
async fn a_record_that_does_not_open_keeps_the_old_key() {
    let vault = with_sessions(3).await;
    let row = vault.store.read(Table::Sessions, session(1).id.as_bytes()).unwrap().unwrap();
    let mut batch = crate::store::Batch::default();
    batch.put(Table::Sessions, b"elsewhere", 0, row.value);
    vault.store.write_if(batch).await.unwrap();
    let shelf = Shelf::of(&vault);
    let rotation = rotation(&vault, &shelf);
    rotation.begin().unwrap();
    let stop = CancellationToken::new();
    let found = async {
        while rotation.progress().is_none_or(|progress| progress.damaged == 0 || progress.table != Some("meta")) {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        stop.cancel();
    };
    tokio::join!(Arc::clone(&rotation).run(stop.clone()), found);
    assert_eq!(shelf.kept().epochs().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(rotation.begin().unwrap(), 3, "another rotation may try again");
}

#[tokio::test]
async fn a_keyring_proves_itself_by_records_that_it_opens() {
    let vault = with_sessions(40).await;
    let (old, mut change) = (vault.session(session(7).id).unwrap().unwrap(), vault.change(NOW));
    let event = crate::audit::What::Removed { session: old.value.id, provider: old.value.provider.clone() };
    change.update(&old, &old.value).unwrap().audit(event).unwrap();
    change.commit().await.unwrap();
    vault.prove(16).unwrap();
    in_memory().await.prove(16).unwrap();
    let Vault { store, .. } = Arc::try_unwrap(vault).map_err(drop).unwrap();
    let mut batch = crate::store::Batch::default();
    batch.unmark(Table::Meta, "sentinel");
    for number in 0..40 {
        batch.unmark(Table::Sessions, session(number).id.as_bytes());
    }
    store.write_if(batch).await.unwrap();
    // A history is still of the other keyring, though its sentinel is gone.
    let stranger = Vault::open(store, Keyring::generate()).await.unwrap();
    assert!(matches!(stranger.prove(16), Err(crate::vault::VaultError::ForeignKeyring)));
}
