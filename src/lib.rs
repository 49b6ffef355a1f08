//! The daemon.

pub mod config;
pub mod domain;
pub mod policy;
pub mod provider;
