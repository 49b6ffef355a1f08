//! `tokenkeeper token`: a valid access token, alone on standard output.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use tokenkeeper_client::reply::TokenReply;
use tokenkeeper_client::{ProviderName, Selector, SessionRef, TokenRequest, UserName};
use tokenkeeper_protocol::json as view;

use crate::context::Context;
use crate::failure::Failure;
use crate::{clock, json, span};

const EXAMPLE: &str = "\
Example:
  curl -H \"Authorization: Bearer $(tokenkeeper token corp --min-valid 5m)\" https://api.corp.example/";

/// Get a valid access token
///
/// The token stands alone on standard output. Where several sessions match, say which: --user or --session.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Token {
    /// The provider whose session is meant
    #[arg(required_unless_present = "session", conflicts_with = "session")]
    provider: Option<ProviderName>,

    /// The session of this user
    #[arg(long, value_name = "NAME", conflicts_with = "session")]
    user: Option<UserName>,

    /// This session, as `tokenkeeper sessions` calls it
    #[arg(long, value_name = "REF")]
    session: Option<SessionRef>,

    /// How long the token must stay valid [default: 60s, or a fifth of its life if that is less]
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    min_valid: Option<Duration>,

    /// How long to wait for a refresh [default: as long as the daemon does]
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    timeout: Option<Duration>,
}

impl Token {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let Some(selector) = self.selector() else { return Ok(crate::exit::USAGE) };
        let request = TokenRequest {
            selector,
            min_valid_seconds: self.min_valid.map(whole_seconds),
            timeout_ms: self.timeout.map(|timeout| u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX)),
        };
        let reply = context.connect()?.token(request).map_err(|error| Failure::at(error, self.provider.as_ref()))?;
        if context.json {
            json::print(&view::Token::new(&reply, clock::now())).map_err(Failure::Output)?;
        } else {
            print(&reply)?;
        }
        Ok(0)
    }

    /// Nothing only if there is neither session nor provider, which the parser does not let through.
    fn selector(&self) -> Option<Selector> {
        match (self.session, self.provider.clone()) {
            (Some(session), _) => Some(Selector::Session(session)),
            (None, Some(provider)) => Some(Selector::Only { provider, user: self.user.clone() }),
            (None, None) => None,
        }
    }
}

/// Prints the token as it is. One with characters outside of RFC 6749 appendix A.12 could command a terminal or a header.
fn print(reply: &TokenReply) -> Result<(), Failure> {
    let token = reply.access_token.expose();
    if !token.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(Failure::UnprintableToken);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{token}").and_then(|()| out.flush()).map_err(Failure::Output)
}

/// Rounded up: the caller wants at least this.
fn whole_seconds(span: Duration) -> u32 {
    u32::try_from(span.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}
