//! What tokenkeeper and its clients say to each other: identifiers, requests, replies and the frame codec.
//!
//! Pure data: no sockets, no runtime. Bytes come in and go out; whoever owns the connection moves them.
//! The byte layout is described for other languages in `docs/protocol.md` and pinned by golden bytes in the tests.

pub mod codec;
pub mod frame;
pub mod id;
#[cfg(feature = "json")]
pub mod json;
pub mod problem;
pub mod reply;
pub mod request;
pub mod secret;
pub mod span;
pub mod time;

pub use id::{AccountName, LoginId, ProviderName, SessionRef, UserName};
pub use problem::{Code, Problem};
pub use reply::Reply;
pub use request::Request;
pub use secret::Secret;
pub use time::UnixSeconds;
