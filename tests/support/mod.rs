//! What the black-box tests stand on: a real daemon, its real command line, providers, a syslog receiver, a browser.
//!
//! Nothing here knows the insides of the daemon: programs, sockets, signals and files only. Both test targets use it and neither
//! uses all of it. A fixture that cannot do its work panics with what to do about it; no test is ever skipped in silence.
#![allow(
    dead_code,
    unused_imports,
    reason = "shared by the targets `offline` and `real`, neither of which uses all of it"
)]

pub(crate) mod backend;
pub(crate) mod browser;
pub(crate) mod canary;
pub(crate) mod chromium;
pub(crate) mod cli;
pub(crate) mod cognito;
pub(crate) mod config;
pub(crate) mod daemon;
pub(crate) mod deadline;
pub(crate) mod django;
pub(crate) mod failpoints;
pub(crate) mod home;
pub(crate) mod http;
pub(crate) mod login;
pub(crate) mod notify;
pub(crate) mod proxy;
pub(crate) mod real;
pub(crate) mod scripted;
pub(crate) mod shop;
pub(crate) mod syslog;
pub(crate) mod wire;

pub(crate) use backend::Backend;
pub(crate) use chromium::Chromium;
pub(crate) use cli::CliResult;
pub(crate) use config::Config;
pub(crate) use daemon::Daemon;
pub(crate) use django::Django;
pub(crate) use home::Home;
pub(crate) use proxy::Proxy;
pub(crate) use real::RealProvider;
pub(crate) use scripted::{Fault, Lie, Rotation, ScriptedProvider, Step, Tls, TlsServer, What};
pub(crate) use shop::Shop;
pub(crate) use syslog::SyslogReceiver;
pub(crate) use wire::Wire;
