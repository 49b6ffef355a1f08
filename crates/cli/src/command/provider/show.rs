//! `tokenkeeper provider show`: one provider as it is configured.

use std::fmt::Display;
use std::time::Duration;

use chrono::TimeZone;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use tokenkeeper_client::reply::ProviderView;
use tokenkeeper_client::{Code, Error, Problem, ProviderName};
use tokenkeeper_protocol::json;

use crate::command::status::provider_state;
use crate::complete;
use crate::context::Context;
use crate::escape::plain;
use crate::failure::Failure;
use crate::moment::{Calendar, span};
use crate::table::Table;

const EXAMPLES: &str = "\
Example:
  tokenkeeper provider show corp

Exit status: 0 done, 4 no such provider that you may know of, 69 daemon not reachable.";

/// Show how a provider is configured, and how it is doing
///
/// No secret is shown: the daemon does not tell any.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Show {
    /// The provider, as `tokenkeeper provider list` calls it
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::providers))]
    provider: ProviderName,
}

impl Show {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let reply = context.connect()?.providers()?;
        let Some(found) = reply.providers.iter().find(|it| it.status.provider == self.provider) else {
            let name = &self.provider;
            let words =
                format!("there is no provider {name} that you may know of; `tokenkeeper provider list` names those");
            return Err(Error::Problem(Problem::new(Code::NotFound, words)).into());
        };
        context.answer(describe(found, &Calendar::here()), &json::Provider::from(found))?;
        Ok(0)
    }
}

fn describe<Zone: TimeZone<Offset: Display>>(it: &ProviderView, calendar: &Calendar<Zone>) -> Table {
    let list = |words: &[String], none: &str| if words.is_empty() { none.to_owned() } else { plain(&words.join(" ")) };
    let accounts: Vec<String> = it.accounts.iter().map(ToString::to_string).collect();
    let client = match it.client_authentication.as_str() {
        "none" => format!("{}, without a secret", plain(&it.client_id)),
        how => format!("{}, secret sent by {}", plain(&it.client_id), plain(how)),
    };
    let mut table = Table::default();
    table.row(["provider".into(), it.status.provider.to_string().into()]);
    table.row(["state".into(), provider_state(&it.status, calendar)]);
    table.row(["kind".into(), plain(&it.kind).into()]);
    table.row(["issuer".into(), plain(&it.issuer).into()]);
    table.row(["client".into(), client.into()]);
    table.row(["redirects".into(), list(&it.redirect_uris, "-").into()]);
    table.row(["scopes".into(), list(&it.scopes, "-").into()]);
    table.row(["sessions".into(), format!("end after {}", span(Duration::from_secs(it.max_age_seconds))).into()]);
    table.row(["accounts".into(), list(&accounts, "-").into()]);
    table
}
