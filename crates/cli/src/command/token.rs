//! `tokenkeeper token`: a valid access token, alone on standard output.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use tokenkeeper_client::reply::TokenReply;
use tokenkeeper_client::{AccountName, Holder, ProviderName, Selector, SessionRef, TokenFor, TokenRequest, UserName};
use tokenkeeper_protocol::{json as view, span};

use crate::context::Context;
use crate::failure::Failure;
use crate::{clock, complete, json};

const EXAMPLES: &str = "\
Examples:
  tokenkeeper token corp
  curl -H \"Authorization: Bearer $(tokenkeeper token corp --min-valid 5m)\" https://api.corp.example/
  tokenkeeper token --session 7k3vq2mx --json | jq -r .expires_at
  tokenkeeper token --account nightly --scope reports

Exit status: 0 done, 3 log in again, 4 no such session, 5 several match, 7 tokens never live that long, 69 daemon not reachable,
75 try again later, 77 refused, 78 wrong configuration.";

/// That there are three ways to say whose token is beyond what clap finds out by itself.
const USAGE: &str = "\
tokenkeeper token <PROVIDER> [--user <NAME>] [OPTIONS]
       tokenkeeper token --session <REF> [OPTIONS]
       tokenkeeper token --account <NAME> [OPTIONS]";

/// Get a valid access token
///
/// The token stands alone on standard output. Where several sessions match, say which: --user or --session. The token of a
/// service account is asked for by its name: --account.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
pub(crate) struct Token {
    /// The provider whose session is meant
    #[arg(required_unless_present_any = ["session", "account"], conflicts_with_all = ["session", "account"])]
    #[arg(add = ArgValueCandidates::new(complete::providers))]
    provider: Option<ProviderName>,

    /// The session of this user
    #[arg(long, value_name = "NAME", conflicts_with_all = ["session", "account"])]
    user: Option<UserName>,

    /// This session, as `tokenkeeper sessions` calls it
    #[arg(long, value_name = "REF", add = ArgValueCandidates::new(complete::sessions))]
    session: Option<SessionRef>,

    /// This service account of the configuration
    #[arg(long, value_name = "NAME", conflicts_with = "session", add = ArgValueCandidates::new(complete::accounts))]
    account: Option<AccountName>,

    /// Scopes that the token must have, space separated; it may have more
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,

    /// What the token must be for: a resource of the configuration (RFC 8707)
    #[arg(long, value_name = "URI")]
    resource: Option<String>,

    /// How long the token must stay valid [default: 60s, or a fifth of its life if that is less]
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    min_valid: Option<Duration>,

    /// How long to wait for a refresh, two minutes at most [default: 20s]
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    timeout: Option<Duration>,
}

impl Token {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let Some(of) = self.holder() else { return Ok(crate::exit::USAGE) };
        let min_valid_seconds = self.min_valid.map(span::whole_seconds);
        let timeout_ms = self.timeout.map(span::milliseconds);
        let mut client = context.connect()?;
        let reply = match (of, &self.scope, &self.resource) {
            // Understood by every daemon.
            (Holder::Session(selector), None, None) => {
                client.token(TokenRequest { selector, min_valid_seconds, timeout_ms })
            }
            (of, scope, resource) => {
                let (scope, resource) = (scope.clone(), resource.clone());
                client.token_for(TokenFor { of, min_valid_seconds, timeout_ms, scope, resource })
            }
        };
        let reply = reply.map_err(|error| Failure::at(error, self.provider.as_ref()))?;
        if context.json {
            json::print(&view::Token::new(&reply, clock::now())).map_err(Failure::Output)?;
        } else {
            print(&reply)?;
        }
        Ok(0)
    }

    /// Nothing only if there is neither account, session nor provider, which the parser does not let through.
    fn holder(&self) -> Option<Holder> {
        match (self.account.clone(), self.session, self.provider.clone()) {
            (Some(account), ..) => Some(Holder::Account(account)),
            (None, Some(session), _) => Some(Holder::Session(Selector::Session(session))),
            (None, None, Some(provider)) => Some(Holder::Session(Selector::Only { provider, user: self.user.clone() })),
            (None, None, None) => None,
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
