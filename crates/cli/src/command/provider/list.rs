//! `tokenkeeper provider list`: one line each.

use std::fmt::Display;

use chrono::TimeZone;
use clap::Args;
use tokenkeeper_client::reply::ProvidersReply;
use tokenkeeper_protocol::json;

use crate::command::status::provider_state;
use crate::context::{Context, tell};
use crate::escape::plain;
use crate::failure::Failure;
use crate::moment::Calendar;
use crate::table::Table;

const EXAMPLES: &str = "\
Examples:
  tokenkeeper provider list
  tokenkeeper provider list --json | jq -r '.providers[].provider'

Exit status: 0 done, 69 daemon not reachable.";

/// List the providers you may know of
///
/// Those who may see the status see all; others see those at which a rule of the configuration allows them something.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct List {}

impl List {
    #[expect(clippy::unused_self, reason = "like every command")]
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let reply = context.connect()?.providers()?;
        if reply.providers.is_empty() && !context.json {
            tell("No providers that you may use. They are set up in the configuration of the daemon.");
            return Ok(0);
        }
        context.answer(table(&reply, &Calendar::here()), &json::Providers::from(&reply))?;
        Ok(0)
    }
}

fn table<Zone: TimeZone<Offset: Display>>(reply: &ProvidersReply, calendar: &Calendar<Zone>) -> Table {
    let mut table = Table::headed(["NAME", "KIND", "ISSUER", "STATE"]);
    for it in &reply.providers {
        let state = provider_state(&it.status, calendar);
        table.row([it.status.provider.to_string().into(), plain(&it.kind).into(), plain(&it.issuer).into(), state]);
    }
    table
}
