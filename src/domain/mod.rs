//! The nouns that every floor shares: a session, its tokens, who opened it. Plain data, no behaviour that needs another module.

pub mod flow;
pub mod loss;
pub mod peer;
pub mod scope;
pub mod session;

pub use flow::{DeviceFailure, DeviceFlow, Flow, Way};
pub use loss::{LoginReason, Loss, Refusal};
pub use peer::{Owner, Peer};
pub use scope::has_scope;
pub use session::{AccessToken, EndReason, Session, State, Tokens};
