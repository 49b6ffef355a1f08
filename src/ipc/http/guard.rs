//! What a browser can be made to send is refused, for the case that somebody puts a careless proxy in front of the socket.
//!
//! A page of another site can make a browser send requests anywhere, and one whose name suddenly leads to the proxy (DNS
//! rebinding) can read the answers. No program that is meant to use the socket sends these headers.

use hyper::StatusCode;
use hyper::header::{HeaderMap, ORIGIN};
use tokenkeeper_protocol::Code;

use super::problem::Failure;

/// Lets a request pass that no browser has sent.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Failure> {
    let telltale =
        [ORIGIN.as_str(), "sec-fetch-site", "sec-fetch-mode"].into_iter().find(|name| headers.contains_key(*name));
    let Some(telltale) = telltale else { return Ok(()) };
    let why = format!(
        "requests of browsers are not answered, and this one bears the header {telltale}; \
         let the backend ask, and do not put a proxy in front of this socket"
    );
    Err(Failure::with(StatusCode::FORBIDDEN, Code::Denied, why))
}
