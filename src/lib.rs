//! The daemon, as a list of its floors: a module uses only those below it. `tests/architecture.rs` sees to that.

pub mod config;

pub mod policy;

pub mod domain;
