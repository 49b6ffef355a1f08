//! `tokenkeeper status`: how the daemon is doing, for people and for monitoring.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};
use chrono::TimeZone;
use tokenkeeper_client::reply::{Health, ProviderStatus, StatusReply};
use tokenkeeper_protocol::json;

use crate::context::Context;
use crate::escape::plain;
use crate::exit;
use crate::failure::Failure;
use crate::moment::Calendar;
use crate::table::{Cell, Table};

pub(super) fn run(context: &Context) -> Result<u8, Failure> {
    let status = context.connect()?.status()?;
    context.answer(describe(&status, &Calendar::here()), &json::Status::from(&status))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        assert_eq!([0, 999, 41_900_000, 2_000_000_000].map(bytes), ["0 bytes", "999 bytes", "41 MB", "2 GB"]);
    }
}
