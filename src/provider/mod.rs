//! The OAuth 2.0 and OpenID Connect client: sends people to a provider, and gets, renews and revokes their tokens.
//!
//! Invariant: one call of [`Provider::exchange`], [`Provider::poll_device`] or [`Provider::refresh`] is at most one POST. No layer repeats it, follows a
//! redirect with it or takes it through a proxy that the configuration does not name. What is not certain to have failed
//! before it was sent is [`RefreshOutcome::Unknown`]: the refresh token may be spent.
//! It knows no store and no clock: `now` comes in, outcomes go out, and the keeper decides what becomes of them. Only
//! [`Provider::probe`] is lent a clock: it tells how long things took.

mod answer;
mod cache;
mod callback;
mod client;
mod client_credentials;
mod credentials;
mod device;
mod dialect;
mod exchange;
mod fault;
mod flow;
mod gate;
mod handshake;
mod health;
mod http;
mod id_token;
mod loose;
mod metadata;
mod probe;
mod profile;
mod refresh;
mod retry_after;
mod revoke;
#[cfg(test)]
pub(crate) mod scripted;
mod secrets;
mod setup_error;
mod token_answer;
mod url;
mod words;

pub use callback::{Answer, Callback, CallbackMalformed};
pub use client::Provider;
pub use device::{DeviceAsk, DevicePoll, DeviceRefused, DeviceStart};
pub use exchange::{Grant, LoginFault};
pub use fault::{Fault, Place};
pub use flow::FlowRefused;
pub use gate::{Closed, Gate, Pass, Sign, Turn};
pub use handshake::Handshake;
pub use health::Health;
pub use refresh::{Ready, RefreshOutcome};
pub use revoke::RevokeOutcome;
pub use setup_error::SetupError;
