//! Erasing what is kept of somebody: ended and revoked, removed, told to the audit trail, and gone from the files (docs/decisions/0028).
//!
//! Invariant: nobody is told that something is gone while it is there. An erasure is a row of the store from its beginning to its end,
//! so it outlives the daemon; one after the other is worked on, a step at a time.

mod eraser;
mod finish;
mod remove;
mod traces;

pub use eraser::{Eraser, How};
