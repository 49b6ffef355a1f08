//! A valid access token.

use serde::Serialize;

use super::rfc3339;
use crate::UnixSeconds;
use crate::reply::TokenReply;

/// View of a [`TokenReply`]. It holds the token in the clear: write it only to a buffer that is wiped, or to its reader.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the fields are the keys, and those are RFC 6749's")]
pub struct Token<'a> {
    session: &'a str,
    access_token: &'a str,
    token_type: &'a str,
    expires_at: String,
    /// Seconds, for those who do not trust their own clock to read `expires_at` (RFC 6749 section 5.1).
    expires_in: u64,
    scope: &'a str,
}

impl<'a> Token<'a> {
    /// The view at this time.
    pub fn new(reply: &'a TokenReply, now: UnixSeconds) -> Self {
        Self {
            session: reply.session.as_str(),
            access_token: reply.access_token.expose(),
            token_type: &reply.token_type,
            expires_at: rfc3339(reply.expires_at),
            expires_in: reply.expires_at.since(now).as_secs(),
            scope: &reply.scope,
        }
    }
}
