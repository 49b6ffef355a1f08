//! The HTTP/JSON socket: the same requests, peers, rules and codes as the native one, for every other language.
//!
//! A request goes through [`guard`] (nothing that a browser was made to send), [`route`] (what it asks for), [`content`] and
//! [`request`] (its body), the service, and [`answer`]. No business rules; `docs/guide/http.md` tells the rest.

mod answer;
mod connection;
mod content;
mod exchange;
mod guard;
mod metrics;
mod object;
mod output;
mod patient;
mod problem;
mod query;
mod request;
mod route;
#[cfg(test)]
mod tests;

pub(super) use connection::{run, turn_away};
pub(super) use metrics::serve as serve_metrics;
