//! The keyring as a file: an ordinary age file to the host identity and to the recovery recipients.
//!
//! Its plaintext, all numbers little-endian: `format u32 = 1 | store id 16 | index key 32 | audit key 32 | current epoch
//! u32 | count u32 | count x (epoch u32 | key 32)`, epochs rising, nothing behind. Anyone who knows a recipient can forge
//! such a file, so the vault believes a keyring only when it opens a record that was sealed before.

use std::io;
use std::sync::Arc;

use age::{DecryptError, EncryptError, Recipient};
use zeroize::Zeroizing;

use super::key::{KEY_BYTES, Key};
use super::keyring::Epochs;
use super::record::{decrypt, encrypt};
use super::{HostIdentity, Keyring, SealError};

/// The format this version writes, and the newest it reads.
const FORMAT: u32 = 1;

/// Bytes before the epochs.
const FIXED_BYTES: usize = 4 + 16 + 2 * KEY_BYTES + 4 + 4;

/// Bytes of one epoch.
const EPOCH_BYTES: usize = 4 + KEY_BYTES;

impl Keyring {
    /// The keyring as a file that each of the recipients can open with its identity.
    pub fn to_file(&self, recipients: &Recipients) -> Result<Vec<u8>, SealError> {
        let Recipients { hosts, recovery } = recipients;
        let recipients: Vec<&dyn Recipient> = hosts.iter().chain(recovery).map(|recipient| recipient as _).collect();
        encrypt(&recipients, &self.to_bytes()).map_err(|error| {
            SealError::Unsealed(match error {
                EncryptError::Io(error) => error,
                _ => io::Error::from(io::ErrorKind::InvalidInput),
            })
        })
    }

    /// The keyring in a file, opened with the host identity or that of a recovery recipient.
    pub fn from_file(bytes: &[u8], identity: &HostIdentity) -> Result<Self, SealError> {
        let plaintext = decrypt(identity.as_age(), bytes).map_err(|error| match error {
            DecryptError::NoMatchingKeys => SealError::WrongIdentity,
            DecryptError::UnknownFormat | DecryptError::InvalidHeader => SealError::DamagedKeyring("no age file"),
            DecryptError::Io(_) => SealError::DamagedKeyring("cut short or changed"),
            _ => SealError::DamagedKeyring("changed"),
        })?;
        Self::from_bytes(&plaintext)
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(FIXED_BYTES + self.epochs.len() * EPOCH_BYTES));
        let count = u32::try_from(self.epochs.len()).expect("epochs are numbered with 32 bits");
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.store_id);
        bytes.extend_from_slice(self.index_key.expose());
        bytes.extend_from_slice(self.audit_key.expose());
        bytes.extend_from_slice(&self.current.to_le_bytes());
        bytes.extend_from_slice(&count.to_le_bytes());
        for (epoch, key) in &self.epochs {
            bytes.extend_from_slice(&epoch.to_le_bytes());
            bytes.extend_from_slice(key.expose());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let mut rest = Parts(bytes);
        let malformed = SealError::DamagedKeyring("not the content of a keyring");
        match rest.number() {
            Some(FORMAT) => rest.keyring().ok_or(malformed),
            Some(found) if found > FORMAT => Err(SealError::NewerKeyring { found, known: FORMAT }),
            _ => Err(malformed),
        }
    }
}

/// What is left to read.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn keyring(&mut self) -> Option<Keyring> {
        let store_id = self.take(16)?.try_into().ok()?;
        let (index_key, audit_key) = (Arc::new(self.key()?), Arc::new(self.key()?));
        let (current, count) = (self.number()?, self.number()?);
        let mut epochs = Epochs::new();
        for _ in 0..count {
            let (epoch, key) = (self.number()?, self.key()?);
            if epochs.last_key_value().is_some_and(|(last, _)| *last >= epoch) {
                return None;
            }
            epochs.insert(epoch, Arc::new(key));
        }
        // The last of the rising epochs is the current one.
        let is_whole = self.0.is_empty() && epochs.keys().next_back() == Some(&current);
        is_whole.then_some(Keyring { store_id, epochs, current, index_key, audit_key })
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(part)
    }

    fn number(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn key(&mut self) -> Option<Key> {
        self.take(KEY_BYTES).and_then(Key::from_slice)
    }
}

/// Who can open the file of a keyring.
#[derive(Clone)]
pub struct Recipients {
    hosts: Vec<age::x25519::Recipient>,
    recovery: Vec<age::x25519::Recipient>,
}

impl Recipients {
    /// The host, and whoever holds the identity of a recovery recipient (`age1...`).
    pub fn new(host: &HostIdentity, recovery: &[String]) -> Result<Self, SealError> {
        Ok(Self { hosts: vec![host.as_age().to_public()], recovery: recipients(recovery)? })
    }

    /// The same, and the host with another identity.
    #[must_use]
    pub fn and(mut self, host: &HostIdentity) -> Self {
        self.hosts.push(host.as_age().to_public());
        self
    }

    /// The same host with other recovery recipients.
    pub fn with_recovery(&self, recovery: &[String]) -> Result<Self, SealError> {
        Ok(Self { hosts: self.hosts.clone(), recovery: recipients(recovery)? })
    }

    /// The recovery recipients, as text.
    pub fn recovery(&self) -> Vec<String> {
        self.recovery.iter().map(ToString::to_string).collect()
    }
}

fn recipients(texts: &[String]) -> Result<Vec<age::x25519::Recipient>, SealError> {
    let parse = |(index, text): (usize, &String)| {
        text.trim().parse().map_err(|_| SealError::NotARecipient { number: index + 1 })
    };
    texts.iter().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Place;

    const PLACE: Place<'_> = Place { area: "meta", key: b"sentinel", version: 1 };

    fn to_file(keyring: &Keyring, host: &HostIdentity, recovery: &[String]) -> Result<Vec<u8>, SealError> {
        keyring.to_file(&Recipients::new(host, recovery)?)
    }

    #[test]
    fn a_keyring_opens_with_its_identity_and_still_has_all_its_keys() {
        let identity = HostIdentity::generate();
        let mut keyring = Keyring::generate();
        let old = keyring.seal(&PLACE, b"old").unwrap();
        keyring.begin_epoch();
        let new = keyring.seal(&PLACE, b"new").unwrap();

        let opened = Keyring::from_file(&to_file(&keyring, &identity, &[]).unwrap(), &identity).unwrap();

        assert_eq!(**opened.open(&PLACE, &old).unwrap(), *b"old");
        assert_eq!(**opened.open(&PLACE, &new).unwrap(), *b"new");
        assert_eq!(opened.blind("name", &[b"alice"]), keyring.blind("name", &[b"alice"]));
        assert_eq!(opened.audit_key.expose(), keyring.audit_key.expose());
        assert_eq!((opened.epoch(), opened.store_id()), (2, keyring.store_id()));
    }

    #[test]
    fn a_keyring_opens_with_a_recovery_identity() {
        let (host, recovery) = (HostIdentity::generate(), HostIdentity::generate());
        let keyring = Keyring::generate();
        let file = to_file(&keyring, &host, &[recovery.recipient()]).unwrap();
        assert_eq!(Keyring::from_file(&file, &recovery).unwrap().store_id(), keyring.store_id());
        assert_eq!(Keyring::from_file(&file, &host).unwrap().store_id(), keyring.store_id());
    }

    #[test]
    fn a_keyring_does_not_open_with_another_identity() {
        let file = to_file(&Keyring::generate(), &HostIdentity::generate(), &[]).unwrap();
        let error = Keyring::from_file(&file, &HostIdentity::generate()).unwrap_err();
        assert!(matches!(error, SealError::WrongIdentity), "{error}");
    }

    #[test]
    fn a_damaged_keyring_is_called_damaged() {
        let identity = HostIdentity::generate();
        let file = to_file(&Keyring::generate(), &identity, &[]).unwrap();
        for damaged in [&b""[..], b"something else", &file[..file.len() - 1]] {
            let error = Keyring::from_file(damaged, &identity).unwrap_err();
            assert!(matches!(error, SealError::DamagedKeyring(_)), "{error}");
        }
        for position in 0..file.len() {
            let mut flipped = file.clone();
            flipped[position] ^= 1;
            assert!(Keyring::from_file(&flipped, &identity).is_err(), "byte {position}");
        }
    }

    #[test]
    fn a_keyring_of_a_newer_format_says_so() {
        let mut bytes = Keyring::generate().to_bytes();
        bytes[0] = 2;
        let error = Keyring::from_bytes(&bytes).unwrap_err();
        assert!(matches!(error, SealError::NewerKeyring { found: 2, known: 1 }), "{error}");
    }

    #[test]
    fn a_content_that_is_cut_prolonged_or_lacks_its_current_epoch_is_refused() {
        let mut keyring = Keyring::generate();
        let bytes = keyring.to_bytes();
        for length in 0..bytes.len() {
            assert!(Keyring::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
        assert!(Keyring::from_bytes(&[&bytes[..], b"\0"].concat()).is_err());
        keyring.current = 9;
        assert!(Keyring::from_bytes(&keyring.to_bytes()).is_err());
    }

    #[test]
    fn a_recovery_recipient_that_is_none_is_counted_out_and_not_shown() {
        let (host, recovery) = (HostIdentity::generate(), HostIdentity::generate());
        let pasted = recovery.expose();
        let recipients = [recovery.recipient(), pasted.expose().to_owned()];
        let error = to_file(&Keyring::generate(), &host, &recipients).unwrap_err();
        assert!(error.to_string().contains("number 2"), "{error}");
        assert!(!format!("{error:?}{error}").contains(pasted.expose()), "{error}");
    }
}
