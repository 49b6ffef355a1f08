//! A symmetric key, and where fresh ones come from.
//!
//! Invariant: the bytes stand in one place in memory for as long as the key lives, locked there if the system allows it, and
//! are wiped when it is dropped.

use std::fmt;

use rand::TryRngCore as _;
use rand::rngs::OsRng;
use tokenkeeper_sys::Locked;

/// Length of every key in the keyring.
pub(super) const KEY_BYTES: usize = 32;

/// 32 secret bytes, in a page of their own: moving the key around leaves no copies behind.
pub(super) struct Key(Locked<KEY_BYTES>);

impl Key {
    /// A fresh key from the kernel.
    pub(super) fn generate() -> Self {
        let mut key = Self::empty();
        fill_random(key.0.get_mut());
        key
    }

    /// A key that was kept somewhere; none if its length is not that of a key.
    pub(super) fn from_slice(kept: &[u8]) -> Option<Self> {
        (kept.len() == KEY_BYTES).then(|| {
            let mut key = Self::empty();
            key.0.get_mut().copy_from_slice(kept);
            key
        })
    }

    fn empty() -> Self {
        Self(Locked::new().expect("a system without a single page of memory left has stopped us before"))
    }

    /// Whether it can never be swapped out.
    pub(super) fn is_locked(&self) -> bool {
        self.0.is_locked()
    }

    /// The bytes themselves, for the one place that derives from them or writes the keyring.
    pub(super) fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.get()
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
