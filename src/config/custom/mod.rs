//! `kind = "custom"`: a provider that follows no standard, described by the configuration alone.
//!
//! Invariant: what is read here can be used as it is. Every placeholder is known and allowed where it stands, every pointer
//! is one of RFC 6901, every URL is fit for credentials, and it is certain who will say which user came.
//!
//! `read` goes through one provider table, over what a shipped profile (`profile`) knows already.

mod layers;
mod operation;
pub(super) mod profile;
pub(super) mod read;
mod settings;
mod template;
#[cfg(test)]
mod tests;

pub use settings::{
    Answer, Body, CallbackNames, CustomSettings, Expiry, Field, FieldValue, IdTokenRule, Keys, Method, Operation,
};
pub use template::{Piece, Placeholder, Template};
