//! The keyring, and the two verbs it has: seal and open. Knows no store.
//!
//! Invariant: a sealed record opens at the place it was sealed for (store, area, key, version, epoch) and nowhere else,
//! and only bytes made by a holder of the epoch key open at all. No error, log line or `Debug` shows a key or a
//! plaintext. The neighbour above is the vault, which keeps what is sealed here in the store.

mod durable;
mod error;
mod identity;
mod kept;
mod key;
mod keyring;
mod keyring_file;
mod place;
mod record;
mod stanza;
mod stream;

pub use durable::{create_durably, put_durably, remove_leftovers, remove_wiped, replace_durably};
pub use error::{IdentityError, KeptError, SealError};
pub use identity::{HostIdentity, IdentitySource, SealedWith};
pub use kept::{Alone, KeepKeyring, KeptKeyring};
pub use keyring::Keyring;
pub use keyring_file::Recipients;
pub use place::Place;
pub use stanza::epoch_of;
pub use stream::{Encrypting, decrypt_with, encrypt_to};
