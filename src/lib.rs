//! The daemon, as a list of its floors: a module uses only those below it. `tests/architecture.rs` sees to that.

// Where standard output or standard error cannot be written, these panic: `daemon/log.rs` has what does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod daemon;

pub mod ipc;

pub mod command;
pub mod schedule;

pub mod keeper;

pub mod provider;
pub mod vault;

pub mod audit;
pub mod seal;
pub mod store;

pub mod config;

pub mod policy;

pub mod clock;

pub mod domain;

mod failpoint;
mod vital;

/// Tokens pass through buffers of libraries that wipe nothing. Here, whatever is freed is wiped.
#[global_allocator]
static ALLOCATOR: tokenkeeper_sys::Wiping = tokenkeeper_sys::Wiping;
