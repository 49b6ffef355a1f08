//! `tokenkeeper history`: what happened to a session, like a log: the newest last.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};
use chrono::TimeZone;
use clap::{Args, value_parser};
use serde::Serialize;
use tokenkeeper_client::blocking::Client;
use tokenkeeper_client::reply::HistoryEntry;
use tokenkeeper_client::{HistoryRequest, SessionRef};
use tokenkeeper_protocol::json;

use crate::context::{Context, tell};
use crate::escape::{plain, plain_or_dash};
use crate::failure::Failure;
use crate::moment::Calendar;
use crate::table::{Cell, Table};

/// Show what happened to a session
///
/// The newest comes last. EVENT is as in the audit trail, BY the process that did it. A token is listed once for each user and unit
/// that got it. The last 100 changes of a session are kept.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// The session, as `tokenkeeper sessions` calls it
    #[arg(value_name = "REF")]
    session: SessionRef,

    /// Only the newest N entries
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

impl History {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let entries = self.read(&mut context.connect()?)?;
        if entries.is_empty() && !context.json {
            tell("Nothing has happened to this session since histories are kept.");
            return Ok(0);
        }
        let object = Object { entries: entries.iter().map(json::HistoryEntry::from).collect() };
        context.answer(table(&entries, &Calendar::here()), &object)?;
        Ok(0)
    }

    /// The newest first.
    fn read(&self, client: &mut Client) -> Result<Vec<HistoryEntry>, Failure> {
        let limit = self.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let (mut entries, mut cursor) = (Vec::new(), None);
        loop {
            let page = client.history(HistoryRequest { session: self.session, cursor })?;
            entries.extend(page.entries);
            // A cursor only ever goes down; one that does not would have us ask for ever.
            let further = page.next.filter(|next| cursor.is_none_or(|cursor| *next < cursor));
            if further.is_none() || entries.len() >= limit {
                entries.truncate(limit);
                return Ok(entries);
            }
            cursor = further;
        }
    }
}

fn table<Zone: TimeZone<Offset: Display>>(entries: &[HistoryEntry], calendar: &Calendar<Zone>) -> Table {
    let mut table = Table::default();
    table.row(["WHEN", "EVENT", "BY", "WHAT"].map(|title| Cell(title.to_owned(), Style::new().bold())));
    for entry in entries.iter().rev() {
        table.row([
            calendar.full(entry.at).into(),
            Cell(plain(&entry.event), style(&entry.event)),
            plain_or_dash(entry.peer.as_deref()).into(),
            plain(&entry.detail).into(),
        ]);
    }
    table
}

fn style(event: &str) -> Style {
    match event {
        "refresh_failed" => AnsiColor::Red.on_default(),
        "logged_out" | "expired" => AnsiColor::Yellow.on_default(),
        "login_completed" => AnsiColor::Green.on_default(),
        _ => Style::new(),
    }
}

#[derive(Serialize)]
struct Object<'a> {
    entries: Vec<json::HistoryEntry<'a>>,
}
