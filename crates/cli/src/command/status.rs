//! `tokenkeeper status`: how the daemon is doing, for people and for monitoring.

use std::fmt::Display;

use anstyle::Style;
use chrono::TimeZone;
use clap::Args;
use tokenkeeper_client::reply::{Health, ProviderStatus, StatusReply};
use tokenkeeper_protocol::json;

use crate::context::Context;
use crate::escape::plain;
use crate::failure::Failure;
use crate::moment::Calendar;
use crate::table::{Cell, Table};
use crate::{color, exit};

/// What a complaint about the last reload begins with: its reason stands in a row of its own.
const RELOAD_REFUSED: &str = "the last reload was refused";

const EXAMPLES: &str = "\
Examples:
  tokenkeeper status
  tokenkeeper status --json | jq -r '.providers[] | select(.failure) | .provider'
  tokenkeeper status > /dev/null || echo \"look at tokenkeeper\"

Exit status: 0 all is well, 1 degraded, 2 nothing is stored or refreshed any more, 69 daemon not reachable, 77 refused.";

/// Show how the daemon is doing
///
/// Degraded means that it serves, and that somebody should look: a provider fails, a reload was refused, audit records do not get
/// through, or the disk fills up.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Status {}

impl Status {
    #[expect(clippy::unused_self, reason = "like every command")]
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let status = context.connect()?.status()?;
        context.answer(describe(&status, &Calendar::here()), &json::Status::from(&status))?;
        Ok(match status.health {
            Health::Ok => 0,
            Health::Degraded => exit::DEGRADED,
            Health::NotServing => exit::NOT_SERVING,
        })
    }
}

fn describe<Zone: TimeZone<Offset: Display>>(status: &StatusReply, calendar: &Calendar<Zone>) -> String {
    let (health, style) = match status.health {
        Health::Ok => ("ok", color::GOOD),
        Health::Degraded => ("degraded", color::FAIR),
        Health::NotServing => ("not serving", color::BAD),
    };
    let summary = Some(summary(status)).filter(|summary| !summary.is_empty());
    let summary = summary.map(|summary| format!(" ({})", plain(&summary))).unwrap_or_default();
    let version = plain(&status.version);
    format!("tokenkeeper {version}: {style}{health}{style:#}{summary}\n{}", table(status, calendar))
}

/// What is wrong, in few words: how many providers are down, and each other complaint up to its reason.
fn summary(status: &StatusReply) -> String {
    let others: Vec<_> = others(status).collect();
    let down = match status.complaints.len() - others.len() {
        0 => None,
        1 => Some("1 provider down".to_owned()),
        several => Some(format!("{several} providers down")),
    };
    let others = others.iter().map(|complaint| complaint.split(": ").next().unwrap_or_default().to_owned());
    down.into_iter().chain(others).collect::<Vec<_>>().join(", ")
}

/// The complaints that are not about a provider.
fn others(status: &StatusReply) -> impl Iterator<Item = &String> {
    let names = status.providers.iter().map(|it| format!("provider {} ", it.provider));
    let names: Vec<String> = names.collect();
    status.complaints.iter().filter(move |complaint| !names.iter().any(|name| complaint.starts_with(name)))
}

fn table<Zone: TimeZone<Offset: Display>>(status: &StatusReply, calendar: &Calendar<Zone>) -> Table {
    let mut table = Table::default();
    let width = status.providers.iter().map(|it| it.provider.as_str().len()).max().unwrap_or_default();
    for (index, it) in status.providers.iter().enumerate() {
        let title = if index == 0 { "provider" } else { "" };
        let Cell(text, style) = provider_state(it, calendar);
        table.row([title.into(), Cell(format!("{:width$}  {text}", it.provider), style)]);
    }
    if status.providers.is_empty() {
        table.row(["provider".into(), "none configured".into()]);
    }
    table.row(["sessions".into(), sessions(status).into()]);
    if let Some(at) = status.next_refresh_at {
        let due = if calendar.left(at).is_some() { "next due" } else { "due since" };
        table.row(["refresh".into(), format!("{due} {}", calendar.brief(at)).into()]);
    }
    if let Some(refused) = &status.last_refused {
        let (at, session, provider) = (calendar.brief(refused.at), refused.session, &refused.provider);
        let last = format!("{at} {session} at {provider}: {}", plain(&refused.why));
        table.row(["refused".into(), Cell(last, color::FAIR)]);
    }
    table.row(["store".into(), store(status, calendar)]);
    let keys = format!("{}, epoch {}", plain(&status.identity_source), status.epoch);
    table.row(["keys".into(), keys.into()]);
    table.row(["audit".into(), audit(status.audit_waiting)]);
    table.row(["config".into(), format!("read {}", calendar.brief(status.config_loaded_at)).into()]);
    if let Some(why) = &status.config_refused {
        table.row(["".into(), Cell(format!("reload REFUSED: {}", plain(why)), color::BAD)]);
    }
    table.row(["running".into(), format!("since {}", calendar.full(status.started_at)).into()]);
    // Those without a reason are told in full by the summary.
    let has_more = |complaint: &&String| complaint.contains(": ") && !complaint.starts_with(RELOAD_REFUSED);
    for (index, complaint) in others(status).filter(has_more).enumerate() {
        table.row([if index == 0 { "trouble" } else { "" }.into(), Cell(plain(complaint), color::BAD)]);
    }
    table
}

fn sessions(status: &StatusReply) -> String {
    let counts = status.sessions;
    let least = if status.more_ending_soon { "at least " } else { "" };
    let soon = format!("{least}{} end within 3d", status.ending_soon);
    format!("{} active ({soon}), {} need login, {} ended", counts.active, counts.need_login, counts.ended)
}

/// What is wrong, if nothing is served, stands in the last row.
fn store<Zone: TimeZone<Offset: Display>>(status: &StatusReply, calendar: &Calendar<Zone>) -> Cell {
    let (word, style) = if status.health == Health::NotServing { ("", color::BAD) } else { ("ok, ", Style::new()) };
    let backup = status
        .last_backup_at
        .map_or_else(|| "no backup yet".to_owned(), |at| format!("backup {} ago", calendar.ago(at)));
    Cell(format!("{word}{}, disk {}% free, {backup}", bytes(status.store_bytes), status.disk_free_percent), style)
}

/// Records wait for a moment after every change; that they do not get through is a complaint.
fn audit(waiting: u64) -> Cell {
    if waiting == 0 { "ok, 0 waiting".into() } else { format!("{waiting} waiting").into() }
}

/// How a provider is doing, in a few words; also for `provider list`.
pub(super) fn provider_state<Zone: TimeZone<Offset: Display>>(
    status: &ProviderStatus,
    calendar: &Calendar<Zone>,
) -> Cell {
    match (&status.failure, status.last_success_at) {
        (Some((at, what)), _) => Cell(format!("DOWN {}: {}", calendar.ago(*at), plain(what)), color::BAD),
        (None, Some(at)) => Cell(format!("ok, last answer {}", calendar.brief(at)), color::GOOD),
        (None, None) => "not asked yet".into(),
    }
}

/// Such as `41 MB`.
fn bytes(count: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let unit = units.into_iter().find(|(size, _)| count >= *size);
    unit.map_or_else(|| format!("{count} bytes"), |(size, name)| format!("{} {name}", count / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        assert_eq!([0, 999, 41_900_000, 2_000_000_000].map(bytes), ["0 bytes", "999 bytes", "41 MB", "2 GB"]);
    }
}
