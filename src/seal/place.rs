//! Where a record stands: what it is bound to when it is sealed.

use sha2::{Digest, Sha256};

/// Where a record stands in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The table, by its permanent name.
    pub area: &'a str,
    /// The key of the row.
    pub key: &'a [u8],
    /// The version the row has while it holds this record.
    pub version: u64,
}

impl Place<'_> {
    /// SHA-256 over everything a record is bound to. Every part goes in behind its length, so that no two different
    /// places have the same bytes.
    pub(super) fn digest(&self, store_id: &[u8; 16], epoch: u32) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [&store_id[..], self.area.as_bytes(), self.key, &self.version.to_le_bytes(), &epoch.to_le_bytes()] {
            hash.update(length_of(part));
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// The key as people can read it: a reference as it is, anything else as numbers. It holds names as keyed hashes at most.
    pub(super) fn shown_key(&self) -> String {
        match std::str::from_utf8(self.key) {
            Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => text.to_owned(),
            _ => data_encoding::HEXLOWER.encode(self.key),
        }
    }
}

/// The length of a part as it is hashed.
pub(super) fn length_of(part: &[u8]) -> [u8; 8] {
    (part.len() as u64).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_as_a_word_if_it_is_one_and_else_as_numbers() {
        let place = Place { area: "sessions", key: b"7k3vq2mx", version: 1 };
        assert_eq!(place.shown_key(), "7k3vq2mx");
        assert_eq!(Place { key: &[0, 0x20, 0xff], ..place }.shown_key(), "0020ff");
    }

    #[test]
    fn bytes_that_move_from_the_area_to_the_key_make_another_place() {
        let store = [7; 16];
        let one = Place { area: "ab", key: b"c", version: 1 };
        let other = Place { area: "a", key: b"bc", version: 1 };
        assert_ne!(one.digest(&store, 1), other.digest(&store, 1));
    }
}
