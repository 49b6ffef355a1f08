//! Black-box tests with a scripted provider: they need nothing but the two programs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a fixture that cannot do its work fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod accounts;
mod age;
mod as_root;
mod audit;
mod clock;
mod custom;
mod device;
mod erase;
mod failpoints;
mod faults;
mod fixtures;
mod history;
mod http;
mod http_limits;
mod http_schema;
mod keys;
mod login;
mod login_refused;
mod logout;
mod metrics;
mod migration;
mod move_out;
mod panics;
mod policy;
mod providers;
mod refresh;
mod refresh_trouble;
mod reload;
mod rollback;
mod secrets;
mod selection;
mod shutdown;
mod socket;
mod startup;
mod store;
mod systemd;
mod unwritable;
mod user_mode;
mod why;
