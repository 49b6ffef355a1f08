//! Seal and open: a record is an age v1 file with one stanza of our own (see `stanza`).
//!
//! Invariant: plaintext goes into buffers that are allocated once, at full size, and wiped; what age itself buffers is
//! the exception (docs/decisions/0010).

use std::io::{self, Read as _, Write as _};
use std::iter;

use age::{DecryptError, Decryptor, EncryptError, Encryptor, Identity, Recipient};
use zeroize::Zeroizing;

use super::stanza::{RecordIdentity, RecordRecipient};
use super::{Keyring, Place, SealError};

/// What header, grease, nonce and tag add to a plaintext, generously. Only an estimate for one allocation.
const OVERHEAD: usize = 512;

impl Keyring {
    /// Seals `plaintext` for `place` in the current epoch.
    pub fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let missing = || SealError::UnknownEpoch { area: place.area.to_owned(), key: place.shown_key() };
        let key = self.epochs.get(&self.current).ok_or_else(missing)?;
        let recipient = RecordRecipient { store_id: &self.store_id, place, epoch: self.current, key };
        encrypt(&[&recipient], plaintext).map_err(|error| SealError::Unsealed(into_io(error)))
    }

    /// Opens what was sealed for `place`, in whichever epoch.
    pub fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let identity = RecordIdentity { store_id: &self.store_id, place, epochs: &self.epochs };
        decrypt(&identity, sealed).map_err(|error| {
            let (area, key) = (place.area.to_owned(), place.shown_key());
            match error {
                DecryptError::NoMatchingKeys => SealError::UnknownEpoch { area, key },
                _ => SealError::NotGenuine { area, key },
            }
        })
    }
}

/// An age file of `plaintext` for the recipients.
pub(super) fn encrypt(recipients: &[&dyn Recipient], plaintext: &[u8]) -> Result<Vec<u8>, EncryptError> {
    let encryptor = Encryptor::with_recipients(recipients.iter().copied())?;
    let mut writer = encryptor.wrap_output(Vec::with_capacity(plaintext.len() + OVERHEAD))?;
    writer.write_all(plaintext)?;
    Ok(writer.finish()?)
}

/// The plaintext of an age file.
pub(super) fn decrypt(identity: &dyn Identity, file: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    let mut reader = Decryptor::new_buffered(file)?.decrypt(iter::once(identity))?;
    // A plaintext is always shorter than its file, so this never grows and leaves no copies behind.
    let mut plaintext = Zeroizing::new(Vec::with_capacity(file.len()));
    reader.read_to_end(&mut plaintext)?;
    Ok(plaintext)
}

/// age's own error without its type: nobody above reacts to the difference.
fn into_io(error: EncryptError) -> io::Error {
    match error {
        EncryptError::Io(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use age_core::format::{FileKey, Stanza};

    use super::*;
    use crate::seal::stanza::TAG;

    const PLAINTEXT: &[u8] = b"a refresh token, say";
    const PLACE: Place<'_> = Place { area: "sessions", key: b"7k3vq2mx", version: 4 };

    #[test]
    fn what_was_sealed_opens_at_its_place() {
        let keyring = Keyring::generate();
        for length in [0, 1, 2_500, 65_535, 65_536, 65_537, 200_000] {
            let plaintext = vec![0x5a; length];
            let sealed = keyring.seal(&PLACE, &plaintext).unwrap();
            assert_eq!(*keyring.open(&PLACE, &sealed).unwrap(), plaintext, "{length} bytes");
        }
    }

    #[test]
    fn a_sealed_record_does_not_contain_its_plaintext() {
        let sealed = Keyring::generate().seal(&PLACE, PLAINTEXT).unwrap();
        assert!(!sealed.windows(PLAINTEXT.len()).any(|window| window == PLAINTEXT));
    }

    #[test]
    fn a_record_moved_to_another_key_area_or_version_does_not_open() {
        let keyring = Keyring::generate();
        let sealed = keyring.seal(&PLACE, PLAINTEXT).unwrap();
        for moved in
            [Place { key: b"b91xw0tz", ..PLACE }, Place { area: "intents", ..PLACE }, Place { version: 5, ..PLACE }]
        {
            assert!(matches!(keyring.open(&moved, &sealed), Err(SealError::NotGenuine { .. })), "{moved:?}");
        }
    }

    #[test]
    fn a_record_of_another_store_does_not_open_even_under_the_same_epoch_key() {
        let mut keyring = Keyring::generate();
        let sealed = keyring.seal(&PLACE, PLAINTEXT).unwrap();
        keyring.store_id = [0; 16];
        assert!(matches!(keyring.open(&PLACE, &sealed), Err(SealError::NotGenuine { .. })));
    }

    #[test]
    fn a_record_names_its_epoch_and_nothing_else_does() {
        let mut keyring = Keyring::generate();
        assert_eq!(crate::seal::epoch_of(&keyring.seal(&PLACE, PLAINTEXT).unwrap()), Some(1));
        keyring.begin_epoch();
        assert_eq!(crate::seal::epoch_of(&keyring.seal(&PLACE, PLAINTEXT).unwrap()), Some(2));
        let stranger = age::x25519::Identity::generate().to_public();
        for other in [&b""[..], b"---", &encrypt(&[&stranger], b"-> tokenkeeper-record x 7\n").unwrap()] {
            assert_eq!(crate::seal::epoch_of(other), None);
        }
    }

    #[test]
    fn a_record_of_an_older_epoch_still_opens_and_new_ones_use_the_new_epoch() {
        let mut keyring = Keyring::generate();
        let old = keyring.seal(&PLACE, PLAINTEXT).unwrap();
        assert_eq!(keyring.begin_epoch(), 2);
        let new = keyring.seal(&PLACE, PLAINTEXT).unwrap();
        assert_eq!(*keyring.open(&PLACE, &old).unwrap(), PLAINTEXT);
        assert_eq!(*keyring.open(&PLACE, &new).unwrap(), PLAINTEXT);
        keyring.epochs.remove(&1);
        assert!(matches!(keyring.open(&PLACE, &old), Err(SealError::UnknownEpoch { .. })));
        assert_eq!(*keyring.open(&PLACE, &new).unwrap(), PLAINTEXT);
    }

    #[test]
    fn a_record_does_not_open_as_one_of_another_epoch_even_under_the_same_key() {
        let mut keyring = Keyring::generate();
        let sealed = keyring.seal(&PLACE, PLAINTEXT).unwrap();
        let key = keyring.epochs.remove(&1).unwrap();
        keyring.epochs.insert(2, key);
        let relabelled = replace_once(&sealed, b" 1\n", b" 2\n");
        assert!(matches!(keyring.open(&PLACE, &relabelled), Err(SealError::NotGenuine { .. })));
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let keyring = Keyring::generate();
        let sealed = keyring.seal(&PLACE, PLAINTEXT).unwrap();
        for position in 0..sealed.len() {
            for bit in 0..8 {
                let mut flipped = sealed.clone();
                flipped[position] ^= 1 << bit;
                assert!(keyring.open(&PLACE, &flipped).is_err(), "byte {position}, bit {bit}");
            }
        }
    }

    #[test]
    fn no_truncated_or_prolonged_record_opens() {
        let keyring = Keyring::generate();
        let sealed = keyring.seal(&PLACE, PLAINTEXT).unwrap();
        for length in 0..sealed.len() {
            assert!(keyring.open(&PLACE, &sealed[..length]).is_err(), "{length} of {} bytes", sealed.len());
        }
        let prolonged = [&sealed[..], b"\0"].concat();
        assert!(keyring.open(&PLACE, &prolonged).is_err());
    }

    #[test]
    fn an_ordinary_age_file_is_no_record() {
        let keyring = Keyring::generate();
        let stranger = age::x25519::Identity::generate().to_public();
        let forged = encrypt(&[&stranger], PLAINTEXT).unwrap();
        assert!(matches!(keyring.open(&PLACE, &forged), Err(SealError::NotGenuine { .. })));
    }

    #[test]
    fn age_refuses_to_add_a_second_recipient_to_a_record() {
        let keyring = Keyring::generate();
        let ours = RecordRecipient { store_id: &keyring.store_id, place: &PLACE, epoch: 1, key: &keyring.epochs[&1] };
        let stranger = age::x25519::Identity::generate().to_public();
        assert!(matches!(encrypt(&[&ours, &stranger], PLAINTEXT), Err(EncryptError::IncompatibleRecipients { .. })));
        assert!(matches!(encrypt(&[&ours, &ours], PLAINTEXT), Err(EncryptError::IncompatibleRecipients { .. })));
    }

    #[test]
    fn a_record_with_a_foreign_stanza_beside_ours_is_refused_and_one_with_more_grease_is_not() {
        let keyring = Keyring::generate();
        for (tag, opens) in [("X25519", false), ("scrypt-like", false), ("-greasey", false), ("joint-grease", true)] {
            let recipient = Accompanied { keyring: &keyring, extra: Extra::Foreign(tag) };
            let file = encrypt(&[&recipient], PLAINTEXT).unwrap();
            assert_eq!(keyring.open(&PLACE, &file).is_ok(), opens, "{tag}");
        }
    }

    #[test]
    fn a_record_with_our_stanza_twice_is_refused() {
        let keyring = Keyring::generate();
        let recipient = Accompanied { keyring: &keyring, extra: Extra::OursAgain };
        let file = encrypt(&[&recipient], PLAINTEXT).unwrap();
        assert!(matches!(keyring.open(&PLACE, &file), Err(SealError::NotGenuine { .. })));
    }

    #[test]
    fn ten_thousand_records_have_ten_thousand_salts() {
        let keyring = Keyring::generate();
        let salts: HashSet<Vec<u8>> = (0..10_000).map(|_| salt_of(&keyring.seal(&PLACE, PLAINTEXT).unwrap())).collect();
        assert_eq!(salts.len(), 10_000);
    }

    /// A holder of the epoch key that writes one stanza too many.
    struct Accompanied<'a> {
        keyring: &'a Keyring,
        extra: Extra,
    }

    enum Extra {
        Foreign(&'static str),
        OursAgain,
    }

    impl Recipient for Accompanied<'_> {
        fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
            let Keyring { store_id, epochs, .. } = self.keyring;
            let ours = RecordRecipient { store_id, place: &PLACE, epoch: 1, key: &epochs[&1] };
            let (mut stanzas, labels) = ours.wrap_file_key(file_key)?;
            match self.extra {
                Extra::Foreign(tag) => stanzas.push(Stanza { tag: tag.to_owned(), args: vec![], body: vec![1; 32] }),
                Extra::OursAgain => stanzas.extend(ours.wrap_file_key(file_key)?.0),
            }
            Ok((stanzas, labels))
        }
    }

    fn salt_of(sealed: &[u8]) -> Vec<u8> {
        let line = sealed.split(|byte| *byte == b'\n').find(|line| line.starts_with(format!("-> {TAG} ").as_bytes()));
        line.unwrap().split(|byte| *byte == b' ').nth(2).unwrap().to_vec()
    }

    fn replace_once(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        [&bytes[..at], to, &bytes[at + from.len()..]].concat()
    }
}
