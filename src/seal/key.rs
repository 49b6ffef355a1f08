//! A symmetric key, and where fresh ones come from.
//!
//! Invariant: the bytes stand in one place in memory for as long as the key lives, and are wiped when it is dropped.

use std::fmt;

use rand::TryRngCore as _;
use rand::rngs::OsRng;
use zeroize::Zeroize;

/// Length of every key in the keyring.
pub(super) const KEY_BYTES: usize = 32;

/// 32 secret bytes. Boxed, so that moving the key around leaves no copies behind.
pub(super) struct Key(Box<[u8; KEY_BYTES]>);

impl Key {
    /// A fresh key from the kernel.
    pub(super) fn generate() -> Self {
        let mut bytes = Box::new([0; KEY_BYTES]);
        fill_random(&mut *bytes);
        Self(bytes)
    }

    /// A key that was kept somewhere; none if its length is not that of a key.
    pub(super) fn from_slice(kept: &[u8]) -> Option<Self> {
        let mut bytes = Box::new([0; KEY_BYTES]);
        (kept.len() == KEY_BYTES).then(|| {
            bytes.copy_from_slice(kept);
            Self(bytes)
        })
    }

    /// The bytes themselves, for the one place that derives from them or writes the keyring.
    pub(super) fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Fills the buffer with random bytes from the kernel.
pub(super) fn fill_random(bytes: &mut [u8]) {
    OsRng.try_fill_bytes(bytes).expect("getrandom(2) cannot fail on a kernel that has it, and all we support do");
}
