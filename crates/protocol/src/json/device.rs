//! The begin of a device flow.

use serde::Serialize;

use super::rfc3339;
use crate::reply;

/// View of a [`reply::DeviceBegun`]. The id waits for the login, and the code lets it happen: do not log them.
#[derive(Serialize)]
pub struct DeviceBegun<'a> {
    login_id: String,
    user_code: &'a str,
    verification_uri: &'a str,
    verification_uri_complete: Option<&'a str>,
    expires_at: String,
}

impl<'a> From<&'a reply::DeviceBegun> for DeviceBegun<'a> {
    fn from(begun: &'a reply::DeviceBegun) -> Self {
        Self {
            login_id: begun.login_id.expose(),
            user_code: begun.user_code.expose(),
            verification_uri: &begun.verification_uri,
            verification_uri_complete: begun.verification_uri_complete.as_ref().map(crate::Secret::expose),
            expires_at: rfc3339(begun.expires_at),
        }
    }
}
