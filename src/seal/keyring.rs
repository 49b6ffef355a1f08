//! The keyring: the keys of every epoch, and beside them two that do not change with epochs.
//!
//! Invariant: there is always a key for the current epoch, and none above it. Keys are wiped when the last keyring that has
//! them is dropped, and never shown. A copy of a keyring shares its keys.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::key::{Key, fill_random};
use super::place::length_of;

/// The keys of all epochs that records may still be sealed in.
pub(super) type Epochs = BTreeMap<u32, Arc<Key>>;

/// The keys of one store.
#[derive(Clone)]
pub struct Keyring {
    /// Says which store the records belong to.
    pub(super) store_id: [u8; 16],
    /// One key per epoch.
    pub(super) epochs: Epochs,
    /// The epoch that is sealed in.
    pub(super) current: u32,
    /// Hides names and subjects in index keys.
    pub(super) index_key: Arc<Key>,
    /// Authenticates the audit trail.
    pub(super) audit_key: Arc<Key>,
}

impl Keyring {
    /// A keyring for a new store, in its first epoch.
    pub fn generate() -> Self {
        let mut store_id = [0; 16];
        fill_random(&mut store_id);
        Self {
            store_id,
            epochs: Epochs::from([(1, Arc::new(Key::generate()))]),
            current: 1,
            index_key: Arc::new(Key::generate()),
            audit_key: Arc::new(Key::generate()),
        }
    }

    /// Begins a new epoch and returns its number. What older ones sealed still opens.
    ///
    /// The keyring must be durable before anything is sealed with it.
    pub fn begin_epoch(&mut self) -> u32 {
        self.current += 1;
        self.epochs.insert(self.current, Arc::new(Key::generate()));
        self.current
    }

    /// Forgets the keys of all epochs but the current one. What was sealed in them is lost for this keyring.
    pub fn forget_old_epochs(&mut self) {
        let current = self.current;
        self.epochs.retain(|epoch, _| *epoch == current);
    }

    /// The epochs that it has keys for, the current one last.
    pub fn epochs(&self) -> impl Iterator<Item = u32> {
        self.epochs.keys().copied()
    }

    /// Whether no key of it can be swapped out.
    pub fn is_locked(&self) -> bool {
        self.epochs.values().chain([&self.index_key, &self.audit_key]).all(|key| key.is_locked())
    }

    /// The epoch that is sealed in.
    pub fn epoch(&self) -> u32 {
        self.current
    }

    /// Which store these keys belong to. Not secret.
    pub fn store_id(&self) -> [u8; 16] {
        self.store_id
    }

    /// A keyed hash of the parts for use in index keys: equal for equal parts, and telling nothing without the index key.
    /// `label` keeps different indexes apart.
    #[expect(clippy::missing_panics_doc, reason = "HMAC takes keys of any length, so it does not panic")]
    pub fn blind(&self, label: &str, parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.index_key.expose()).expect("HMAC takes keys of any length");
        for part in std::iter::once(label.as_bytes()).chain(parts.iter().copied()) {
            mac.update(&length_of(part));
            mac.update(part);
        }
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        let mut truncated = [0; 16];
        truncated.copy_from_slice(&full[..16]);
        truncated
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("epoch", &self.current).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blinded_name_is_found_again_with_the_same_keyring_only() {
        let keyring = Keyring::generate();
        assert_eq!(keyring.blind("name", &[b"corp", b"alice"]), keyring.blind("name", &[b"corp", b"alice"]));
        assert_ne!(
            keyring.blind("name", &[b"corp", b"alice"]),
            Keyring::generate().blind("name", &[b"corp", b"alice"])
        );
    }

    #[test]
    fn blinded_names_differ_by_label_and_by_where_one_part_ends() {
        let keyring = Keyring::generate();
        let name = keyring.blind("name", &[b"corp", b"alice"]);
        assert_ne!(name, keyring.blind("subject", &[b"corp", b"alice"]));
        assert_ne!(name, keyring.blind("name", &[b"corpa", b"lice"]));
        assert_ne!(name, keyring.blind("name", &[b"corp", b"alice", b""]));
    }

    #[test]
    fn a_new_epoch_leaves_blinded_names_as_they_are() {
        let mut keyring = Keyring::generate();
        let before = keyring.blind("name", &[b"alice"]);
        keyring.begin_epoch();
        assert_eq!(keyring.blind("name", &[b"alice"]), before);
    }

    #[test]
    fn a_keyring_that_forgot_its_old_epochs_opens_what_the_current_one_sealed_and_nothing_else() {
        let place = crate::seal::Place { area: "a", key: b"k", version: 1 };
        let mut keyring = Keyring::generate();
        let old = keyring.seal(&place, b"old").unwrap();
        keyring.begin_epoch();
        let new = keyring.seal(&place, b"new").unwrap();
        let before = keyring.clone();
        keyring.forget_old_epochs();
        assert_eq!(keyring.epochs().collect::<Vec<_>>(), [2]);
        assert!(keyring.open(&place, &old).is_err());
        assert_eq!(**keyring.open(&place, &new).unwrap(), *b"new");
        assert_eq!(**before.open(&place, &old).unwrap(), *b"old", "a copy keeps what it has");
    }

    #[test]
    fn debug_output_shows_no_key() {
        let keyring = Keyring::generate();
        let shown = format!("{keyring:?} {:?}", keyring.index_key);
        assert_eq!(shown, "Keyring { epoch: 1, .. } [redacted]");
    }
}
