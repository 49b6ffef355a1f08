//! The end of a session.

use serde::Serialize;

use crate::reply::{self, Revocation};

/// View of a [`reply::LoggedOut`].
#[derive(Serialize)]
pub struct LoggedOut<'a> {
    session: &'a str,
    revoked: &'static str,
    end_session_url: Option<&'a str>,
}

impl<'a> From<&'a reply::LoggedOut> for LoggedOut<'a> {
    fn from(ended: &'a reply::LoggedOut) -> Self {
        let revoked = match ended.revoked {
            Revocation::Done => "done",
            Revocation::Pending => "pending",
            Revocation::Unsupported => "unsupported",
        };
        Self { session: ended.session.as_str(), revoked, end_session_url: ended.end_session_url.as_deref() }
    }
}
