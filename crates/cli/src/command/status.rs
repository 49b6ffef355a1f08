//! `tokenkeeper status`: how the daemon is doing, for people and for monitoring.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};
use chrono::TimeZone;
use serde::Serialize;
use tokenkeeper_client::reply::{Health, ProviderStatus, StatusReply};

use crate::context::Context;
use crate::escape::plain;
use crate::exit;
use crate::failure::Failure;
use crate::moment::{Calendar, rfc3339};
use crate::table::{Cell, Table};

pub(super) fn run(context: &Context) -> Result<u8, Failure> {
    let status = context.connect()?.status()?;
    context.answer(describe(&status, &Calendar::here()), &Object::from(&status))?;
    Ok(match status.health {
        Health::Ok => 0,
        Health::Degraded => exit::DEGRADED,
        Health::NotServing => exit::NOT_SERVING,
    })
}

fn describe<Zone: TimeZone<Offset: Display>>(status: &StatusReply, calendar: &Calendar<Zone>) -> String {
    let (health, style) = match status.health {
        Health::Ok => ("ok", AnsiColor::Green.on_default()),
        Health::Degraded => ("degraded", AnsiColor::Yellow.on_default()),
        Health::NotServing => ("not serving", AnsiColor::Red.on_default()),
    };
    let complaints = Some(status.complaints.join("; ")).filter(|all| !all.is_empty());
    let complaints = complaints.map(|all| format!(" ({})", plain(&all))).unwrap_or_default();
    let version = plain(&status.version);
    format!("tokenkeeper {version}: {style}{health}{style:#}{complaints}\n{}", table(status, calendar))
}

fn table<Zone: TimeZone<Offset: Display>>(status: &StatusReply, calendar: &Calendar<Zone>) -> Table {
    let mut table = Table::default();
    let width = status.providers.iter().map(|it| it.provider.as_str().len()).max().unwrap_or_default();
    for (index, it) in status.providers.iter().enumerate() {
        let title = if index == 0 { "provider" } else { "" };
        let Cell(text, style) = provider(it, calendar);
        table.row([title.into(), Cell(format!("{:width$}  {text}", it.provider), style)]);
    }
    if status.providers.is_empty() {
        table.row(["provider".into(), "none configured".into()]);
    }
    let counts = status.sessions;
    let sessions = format!("{} active, {} need login, {} ended", counts.active, counts.need_login, counts.ended);
    table.row(["sessions".into(), sessions.into()]);
    let store = format!("{}, disk {}% free", bytes(status.store_bytes), status.disk_free_percent);
    table.row(["store".into(), store.into()]);
    let keys = format!("{}, epoch {}", plain(&status.identity_source), status.epoch);
    table.row(["keys".into(), keys.into()]);
    table.row(["audit".into(), format!("{} waiting", status.audit_waiting).into()]);
    table.row(["config".into(), format!("read {}", calendar.brief(status.config_loaded_at)).into()]);
    if let Some(why) = &status.config_refused {
        table.row(["".into(), Cell(format!("reload REFUSED: {}", plain(why)), bad())]);
    }
    table.row(["running".into(), format!("since {}", calendar.full(status.started_at)).into()]);
    table
}

fn provider<Zone: TimeZone<Offset: Display>>(status: &ProviderStatus, calendar: &Calendar<Zone>) -> Cell {
    match (&status.failure, status.last_success_at) {
        (Some((at, what)), _) => Cell(format!("DOWN {}: {}", calendar.ago(*at), plain(what)), bad()),
        (None, Some(at)) => format!("ok, last answer {}", calendar.brief(at)).into(),
        (None, None) => "not asked yet".into(),
    }
}

fn bad() -> Style {
    AnsiColor::Red.on_default()
}

/// Such as `41 MB`.
fn bytes(count: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let unit = units.into_iter().find(|(size, _)| count >= *size);
    unit.map_or_else(|| format!("{count} bytes"), |(size, name)| format!("{} {name}", count / size))
}

#[derive(Serialize)]
struct Object<'a> {
    version: &'a str,
    health: &'static str,
    complaints: &'a [String],
    started_at: String,
    providers: Vec<Provider<'a>>,
    sessions: Counts,
    store_bytes: u64,
    disk_free_percent: u8,
    identity_source: &'a str,
    epoch: u32,
    audit_waiting: u64,
    config_loaded_at: String,
    config_refused: Option<&'a str>,
}

#[derive(Serialize)]
struct Provider<'a> {
    #[serde(rename = "provider")]
    name: &'a str,
    last_success_at: Option<String>,
    failed_at: Option<String>,
    failure: Option<&'a str>,
}

#[derive(Serialize)]
struct Counts {
    active: u64,
    need_login: u64,
    ended: u64,
}

impl<'a> From<&'a StatusReply> for Object<'a> {
    fn from(status: &'a StatusReply) -> Self {
        let health = match status.health {
            Health::Ok => "ok",
            Health::Degraded => "degraded",
            Health::NotServing => "not_serving",
        };
        let counts = status.sessions;
        Self {
            version: &status.version,
            health,
            complaints: &status.complaints,
            started_at: rfc3339(status.started_at),
            providers: status.providers.iter().map(Provider::from).collect(),
            sessions: Counts { active: counts.active, need_login: counts.need_login, ended: counts.ended },
            store_bytes: status.store_bytes,
            disk_free_percent: status.disk_free_percent,
            identity_source: &status.identity_source,
            epoch: status.epoch,
            audit_waiting: status.audit_waiting,
            config_loaded_at: rfc3339(status.config_loaded_at),
            config_refused: status.config_refused.as_deref(),
        }
    }
}

impl<'a> From<&'a ProviderStatus> for Provider<'a> {
    fn from(status: &'a ProviderStatus) -> Self {
        Self {
            name: status.provider.as_str(),
            last_success_at: status.last_success_at.map(rfc3339),
            failed_at: status.failure.as_ref().map(|(at, _)| rfc3339(*at)),
            failure: status.failure.as_ref().map(|(_, what)| what.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        assert_eq!([0, 999, 41_900_000, 2_000_000_000].map(bytes), ["0 bytes", "999 bytes", "41 MB", "2 GB"]);
    }
}
