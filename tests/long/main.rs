//! The proofs that the store loses nothing and gives nothing away: each does in seconds, with small numbers, what it does in
//! minutes with `TOKENKEEPER_LONG=1`, which is how `make test-long` runs it.
//!
//! A proof prints its seed; `TOKENKEEPER_SEED=N` repeats it, and `TOKENKEEPER_FROM=N` goes on from a round of it. Each stands alone: `make test-long PART=kills`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a fixture that cannot do its work fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod as_root;
mod canaries;
mod extent;
mod kills;
mod lives;
mod old_copies;
mod sample;
mod tampering;
