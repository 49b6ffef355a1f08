//! `tokenkeeper store stats`: what the store holds and how much room it takes.

use std::fmt::Display;

use chrono::TimeZone;
use clap::Args;
use tokenkeeper_client::UnixSeconds;
use tokenkeeper_client::reply::StoreStats;
use tokenkeeper_protocol::json;

use crate::context::Context;
use crate::escape::plain;
use crate::failure::Failure;
use crate::moment::Calendar;
use crate::table::Table;

const EXAMPLES: &str = "\
Examples:
  tokenkeeper store stats
  tokenkeeper store stats --json | jq .last_backup_at

Exit status: 0 done, 69 daemon not reachable, 77 refused.";

/// Show what the store holds and how much room it takes
///
/// The numbers of the tables are estimates of the database: rows that were changed or removed count until it has tidied up.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Stats {}

impl Stats {
    #[expect(clippy::unused_self, reason = "like every command")]
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let stats = context.connect()?.store_stats()?;
        context.answer(describe(&stats, &Calendar::here()), &json::StoreStats::from(&stats))?;
        Ok(0)
    }
}

fn describe<Zone: TimeZone<Offset: Display>>(stats: &StoreStats, calendar: &Calendar<Zone>) -> String {
    let counts = stats.sessions;
    let sessions = counts.active + counts.need_login + counts.ended;
    let each = stats.bytes.checked_div(sessions).map(|each| format!(", {} for each session", size(each)));
    let told = |at| format!("{} ({} ago)", calendar.full(at), calendar.ago(at));
    let when = |at: Option<UnixSeconds>| at.map_or_else(|| "never".to_owned(), told);
    let mut whole = Table::default();
    let by_state = format!("{} active, {} need login, {} ended", counts.active, counts.need_login, counts.ended);
    whole.row(["sessions".into(), by_state.into()]);
    whole.row(["on disk".into(), format!("{}{}", size(stats.bytes), each.unwrap_or_default()).into()]);
    whole.row(["disk".into(), format!("{} free of {}", size(stats.disk_free_bytes), size(stats.disk_bytes)).into()]);
    whole.row(["held for a full disk".into(), size(stats.ballast_bytes).into()]);
    if stats.kept_bytes > 0 {
        whole.row(["kept from before".into(), format!("{} until it is a week old", size(stats.kept_bytes)).into()]);
    }
    whole.row(["changes so far".into(), stats.generation.to_string().into()]);
    whole.row(["schema".into(), stats.schema.to_string().into()]);
    whole.row(["epoch of keys".into(), stats.epoch.to_string().into()]);
    whole.row(["last backup".into(), when(stats.last_backup_at).into()]);
    whole.row(["last verified".into(), when(stats.last_verified_at).into()]);
    let mut tables = Table::headed(["TABLE", "ROWS", "SIZE"]);
    for table in &stats.tables {
        tables.row([plain(&table.name).into(), table.keys.to_string().into(), size(table.bytes).into()]);
    }
    format!("{whole}\n{tables}")
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "KB")];
    let fits = units.iter().find(|(unit, _)| bytes >= *unit);
    fits.map_or_else(
        || format!("{bytes} B"),
        |(unit, name)| format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_told_in_the_unit_that_people_would_choose() {
        let told = [0, 999, 1_000, 1_250_000, 16_777_216, 2_000_000_000].map(size);
        assert_eq!(told, ["0 B", "999 B", "1.0 KB", "1.2 MB", "16.7 MB", "2.0 GB"]);
    }
}
