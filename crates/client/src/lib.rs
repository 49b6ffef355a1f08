//! Valid access tokens in one call, from the tokenkeeper daemon of this host.
//!
//! ```no_run
//! let token = tokenkeeper_client::blocking::token("corp")?;
//! let header = format!("Bearer {}", token.access_token.expose());
//! # Ok::<(), tokenkeeper_client::Error>(())
//! ```
//!
//! The daemon refreshes, rotates and stores; a caller says for how long the token must still be valid and gets one that is.
//! [`blocking::Client`] needs nothing but the standard library; [`Client`] (feature `async`, on unless turned off) runs on
//! tokio and carries many requests at a time over one connection.
//!
//! Requests are safe to repeat: after [`Error::Disconnected`], connect again and ask again.

// The examples of the guide are compiled with those of this crate.
#[cfg(all(doctest, feature = "async"))]
#[doc = include_str!("../../../docs/guide/service-author.md")]
struct Guide;

#[cfg(feature = "async")]
mod asynchronous;
pub mod blocking;
mod connect;
mod error;
mod wire;

#[cfg(feature = "async")]
pub use asynchronous::{Client, token};
pub use connect::default_socket;
pub use error::{Error, ProtocolError};
pub use tokenkeeper_protocol::frame::Version;
pub use tokenkeeper_protocol::request::{
    DeviceBegin, DeviceWait, Erase, EraseBegin, Erased, Explain, ExplainOn, HistoryRequest, Holder, KeysRecover,
    LoginBegin, LoginComplete, Selector, SessionsRequest, StoreVerify, Subject, TokenFor, TokenRequest,
};
pub use tokenkeeper_protocol::{
    AccountName, Code, LoginId, Problem, ProviderName, Secret, SessionRef, UnixSeconds, UserName, reply,
};

/// How long connecting, sending and waiting for an answer may each take unless told otherwise.
///
/// Longer than the daemon lets a refresh take, so that it is the daemon that says what went wrong.
pub const DEFAULT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);
