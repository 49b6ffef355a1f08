//! The daemon.

pub mod seal;
