//! Black-box tests with a scripted provider: they need nothing but the two programs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a fixture that cannot do its work fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod fixtures;
