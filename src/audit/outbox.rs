//! Where events wait to be sent. The vault implements it, above this floor, and is handed in when the daemon is wired up.

use super::Event;

/// A queue of events that survives a crash. Its methods block on the disk: they are called from the relay's own thread.
pub trait Outbox: Send + Sync + 'static {
    /// The oldest events, at most `limit`, with their sequence numbers, which rise. Empty only when nothing waits.
    fn pending(&self, limit: usize) -> Result<Vec<(u64, Event)>, OutboxError>;

    /// Removes these events, and no others: one with a lower number may have come in since they were read.
    fn delivered(&self, sequences: &[u64]) -> Result<(), OutboxError>;
}

/// The outbox cannot be read or written at the moment; the relay tries again. One sentence for the administrator.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct OutboxError(Box<dyn std::error::Error + Send + Sync>);

impl OutboxError {
    /// From the error beneath, or from a sentence.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
