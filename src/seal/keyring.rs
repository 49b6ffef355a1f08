//! The keyring: the keys of every epoch, and beside them two that do not change with epochs.
//!
//! Invariant: there is always a key for the current epoch. Keys are wiped on drop and never shown.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::key::{Key, fill_random};
use super::place::length_of;

/// The keys of all epochs that records may still be sealed in.
pub(super) type Epochs = BTreeMap<u32, Key>;

/// The keys of one store.
pub struct Keyring {
    /// Says which store the records belong to.
    pub(super) store_id: [u8; 16],
    /// One key per epoch.
    pub(super) epochs: Epochs,
    /// The epoch that is sealed in.
    pub(super) current: u32,
    /// Hides names and subjects in index keys.
    pub(super) index_key: Key,
    /// Authenticates the audit trail.
    pub(super) audit_key: Key,
}

impl Keyring {
    /// A keyring for a new store, in its first epoch.
    pub fn generate() -> Self {
        let mut store_id = [0; 16];
        fill_random(&mut store_id);
        Self {
            store_id,
            epochs: Epochs::from([(1, Key::generate())]),
            current: 1,
            index_key: Key::generate(),
            audit_key: Key::generate(),
        }
    }

    /// Begins a new epoch and returns its number. What older ones sealed still opens.
    ///
    /// The keyring must be durable before anything is sealed with it.
    pub fn begin_epoch(&mut self) -> u32 {
        self.current += 1;
        self.epochs.insert(self.current, Key::generate());
        self.current
    }

    /// Whether no key of it can be swapped out.
    pub fn is_locked(&self) -> bool {
        self.epochs.values().chain([&self.index_key, &self.audit_key]).all(Key::is_locked)
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
    fn debug_output_shows_no_key() {
        let keyring = Keyring::generate();
        let shown = format!("{keyring:?} {:?}", keyring.index_key);
        assert_eq!(shown, "Keyring { epoch: 1, .. } [redacted]");
    }
}
