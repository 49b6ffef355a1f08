//! All sessions as lines of JSON, as they stood at one moment, and back.
//!
//! Invariant: the last line tells how many there were and the hash of all lines before it, so nothing that was cut or changed is
//! taken for a backup. Nothing here encrypts: whoever gives a writer makes sure that it does.

mod lines;
mod read;
mod write;

pub(super) use read::RESTORING;
pub use read::{BackupError, Content};
pub use write::BackedUp;
