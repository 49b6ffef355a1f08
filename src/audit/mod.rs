//! The audit trail on its way out: what happened ([`Event`]), how it reads (BSD syslog or RFC 5424), and how it gets to syslog.
//!
//! Events wait in the vault's outbox, which is written in the same batch as the change they tell of; one thread, the [`Relay`],
//! carries them to syslog and removes them only once they were taken. Nothing else in the daemon ever waits for syslog.
//! Hand-outs and denials that repeat are counted by the [`Tally`]. Names and fields are a contract: `docs/audit.md`.

pub mod counts;
mod denials;
pub mod event;
mod format;
mod hand_outs;
mod outbox;
mod receiver;
mod record;
mod relay;
mod summary;
mod tally;
mod text;

pub use counts::{Counters, Counts};
pub use event::{Event, What};
pub use outbox::{Outbox, OutboxError};
pub use relay::{Relay, Waker};
pub use summary::Summary;
pub use tally::Tally;
