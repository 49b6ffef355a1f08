//! The recipient stanza of our own in the age header of a sealed record: it wraps the file key under the epoch key.
//!
//! ```text
//! -> tokenkeeper-record SALT EPOCH          SALT 32 bytes in unpadded base64, EPOCH in decimal
//! BODY                                      the file key, ChaCha20-Poly1305 under
//!                                           HKDF-SHA256(ikm = epoch key, salt = SALT, info = LABEL || digest of the place)
//! ```
//! Invariant: a record has exactly one stanza of ours, and beside it only age's own grease.

use std::collections::HashSet;

use age::{DecryptError, EncryptError, Identity, Recipient};
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::primitives::{aead_decrypt, aead_encrypt, hkdf};
use age_core::secrecy::ExposeSecret;
use data_encoding::BASE64_NOPAD;
use zeroize::{Zeroize, Zeroizing};

use super::key::{Key, fill_random};
use super::keyring::Epochs;
use super::place::Place;

/// What marks our stanza. Permanent.
pub(super) const TAG: &str = "tokenkeeper-record";

/// Keeps these keys apart from any other use of an epoch key. Permanent.
const LABEL: &[u8] = b"tokenkeeper/v1/record";

/// What age appends to the tag of the random stanza that it adds to every header.
const GREASE: &str = "-grease";

/// Seals for one place under one epoch.
pub(super) struct RecordRecipient<'a> {
    pub(super) store_id: &'a [u8; 16],
    pub(super) place: &'a Place<'a>,
    pub(super) epoch: u32,
    pub(super) key: &'a Key,
}

impl Recipient for RecordRecipient<'_> {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let mut salt = [0; 32];
        fill_random(&mut salt);
        let wrapping = wrapping_key(self.key, &salt, &self.place.digest(self.store_id, self.epoch));
        let stanza = Stanza {
            tag: TAG.to_owned(),
            args: vec![BASE64_NOPAD.encode(&salt), self.epoch.to_string()],
            body: aead_encrypt(&wrapping, file_key.expose_secret()),
        };
        // A label nobody else can return: age refuses to mix in a second recipient.
        let mut label = [0; 16];
        fill_random(&mut label);
        Ok((vec![stanza], HashSet::from([BASE64_NOPAD.encode(&label)])))
    }
}

/// Opens at one place, in whichever epoch the record names.
pub(super) struct RecordIdentity<'a> {
    pub(super) store_id: &'a [u8; 16],
    pub(super) place: &'a Place<'a>,
    pub(super) epochs: &'a Epochs,
}

impl Identity for RecordIdentity<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        Some(only_ours(stanzas).ok_or(DecryptError::InvalidHeader).and_then(|stanza| self.unwrap(stanza)))
    }
}

impl RecordIdentity<'_> {
    fn unwrap(&self, stanza: &Stanza) -> Result<FileKey, DecryptError> {
        let (salt, epoch) = arguments(stanza).ok_or(DecryptError::InvalidHeader)?;
        let key = self.epochs.get(&epoch).ok_or(DecryptError::NoMatchingKeys)?;
        let wrapping = wrapping_key(key, &salt, &self.place.digest(self.store_id, epoch));
        let mut opened = aead_decrypt(&wrapping, FILE_KEY_BYTES, &stanza.body)?;
        let file_key = FileKey::init_with_mut(|file_key| file_key.copy_from_slice(&opened));
        opened.zeroize();
        Ok(file_key)
    }
}

/// The epoch that a sealed record names, which only opening it proves. None, if the bytes are no such record.
pub fn epoch_of(sealed: &[u8]) -> Option<u32> {
    let mut lines = sealed.split(|byte| *byte == b'\n').take_while(|line| !line.starts_with(b"---"));
    let prefix = [b"-> ", TAG.as_bytes(), b" "].concat();
    let ours = lines.find_map(|line| line.strip_prefix(&prefix[..]))?;
    let (_, epoch) = std::str::from_utf8(ours).ok()?.split_once(' ')?;
    epoch.parse().ok()
}

/// Our stanza, if it stands there once and nothing but grease stands beside it.
fn only_ours(stanzas: &[Stanza]) -> Option<&Stanza> {
    let (ours, others): (Vec<_>, Vec<_>) = stanzas.iter().partition(|stanza| stanza.tag == TAG);
    match ours[..] {
        [stanza] if others.iter().all(|other| other.tag.ends_with(GREASE)) => Some(stanza),
        _ => None,
    }
}

/// Salt and epoch, if they are written the way they are written here.
fn arguments(stanza: &Stanza) -> Option<([u8; 32], u32)> {
    let [salt, epoch] = &stanza.args[..] else { return None };
    let salt = BASE64_NOPAD.decode(salt.as_bytes()).ok()?.try_into().ok()?;
    let number: u32 = epoch.parse().ok()?;
    (number.to_string() == *epoch).then_some((salt, number))
}

fn wrapping_key(key: &Key, salt: &[u8; 32], place: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let info = [LABEL, place].concat();
    Zeroizing::new(hkdf(salt, &info, key.expose()))
}
