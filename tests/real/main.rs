//! Black-box tests with real OpenID providers, which npm and pip install.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a fixture that cannot do its work fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod crash;
mod custom;
mod device;
mod django;
mod fixtures;
mod rotation;
mod session;
mod web_backend;
