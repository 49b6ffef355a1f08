//! `tokenkeeper logout`: the end of sessions, here and at their providers.

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use serde::Serialize;
use tokenkeeper_client::SessionRef;
use tokenkeeper_client::reply::{LoggedOut, Revocation};
use tokenkeeper_protocol::json;

use crate::complete;
use crate::context::Context;
use crate::escape::plain;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  tokenkeeper logout 7k3vq2mx
  tokenkeeper logout 7k3vq2mx b91xw0tz

Exit status: 0 all ended, else that of the first that failed: 4 no such session, 69 daemon not reachable, 77 refused.";

/// End sessions, here and at their providers
///
/// No token of such a session is handed out from then on, even where the provider cannot be told at once.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Logout {
    /// The sessions, as `tokenkeeper sessions` calls them
    #[arg(required = true, value_name = "REF", add = ArgValueCandidates::new(complete::sessions))]
    sessions: Vec<SessionRef>,
}

impl Logout {
    /// One that fails does not keep the others from being ended. The exit status is that of the first that failed.
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let mut client = context.connect()?;
        let mut status = 0;
        let mut ended = Vec::new();
        for session in &self.sessions {
            match client.logout(*session) {
                Ok(reply) => ended.push(reply),
                Err(error) => {
                    let failed = context.report(&error.into());
                    status = if status == 0 { failed } else { status };
                }
            }
        }
        let text: String = ended.iter().map(describe).collect();
        context.answer(text, &Object { sessions: ended.iter().map(json::LoggedOut::from).collect() })?;
        Ok(status)
    }
}

fn describe(ended: &LoggedOut) -> String {
    let outcome = match ended.revoked {
        Revocation::Done => "the provider has revoked its tokens",
        Revocation::Pending => "the provider could not be told yet; the daemon goes on trying",
        Revocation::Unsupported => "its tokens are not revoked at the provider; they expire by themselves",
    };
    let browser = ended
        .end_session_url
        .as_deref()
        .map(|url| format!("To log out of the provider in the browser as well, open:\n  {}\n", plain(url)));
    format!("Logged out of session {}: {outcome}.\n{}", ended.session, browser.unwrap_or_default())
}

#[derive(Serialize)]
struct Object<'a> {
    sessions: Vec<json::LoggedOut<'a>>,
}
