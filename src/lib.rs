//! The daemon, floor by floor: a module imports only from those below it.

pub mod audit;
pub mod config;
pub mod policy;

pub mod domain;
