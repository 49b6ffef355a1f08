//! Points in time as people read them, in their own time zone.

use std::fmt::Display;
use std::time::Duration;

use chrono::{DateTime, Datelike, Local, TimeZone};
use tokenkeeper_client::UnixSeconds;

/// Tells times as seen from now.
pub(crate) struct Calendar<Zone> {
    pub(crate) now: UnixSeconds,
    pub(crate) zone: Zone,
}

impl Calendar<Local> {
    /// The calendar of whoever runs the command.
    pub(crate) fn here() -> Self {
        Self { now: crate::clock::now(), zone: Local }
    }
}

impl<Zone: TimeZone> Calendar<Zone>
where
    Zone::Offset: Display,
{
    /// `14:02` if it is today, else `12 Dec`.
    pub(crate) fn brief(&self, at: UnixSeconds) -> String {
        let today = in_zone(&self.zone, self.now);
        let same_day = |at: &DateTime<Zone>| {
            today.as_ref().is_some_and(|today| (at.year(), at.ordinal()) == (today.year(), today.ordinal()))
        };
        match in_zone(&self.zone, at) {
            Some(at) if same_day(&at) => at.format("%H:%M").to_string(),
            _ => self.day(at),
        }
    }

    /// `12 Dec`.
    pub(crate) fn day(&self, at: UnixSeconds) -> String {
        self.format(at, "%-d %b")
    }

    /// `12 Dec 2026`.
    pub(crate) fn date(&self, at: UnixSeconds) -> String {
        self.format(at, "%-d %b %Y")
    }

    /// `12 Dec 2026 14:02`.
    pub(crate) fn full(&self, at: UnixSeconds) -> String {
        self.format(at, "%-d %b %Y %H:%M")
    }

    /// `43m` until then, or nothing if it is past.
    pub(crate) fn left(&self, at: UnixSeconds) -> Option<String> {
        Some(at.since(self.now)).filter(|left| !left.is_zero()).map(span)
    }

    /// `43m` since then.
    pub(crate) fn ago(&self, at: UnixSeconds) -> String {
        span(self.now.since(at))
    }

    fn format(&self, at: UnixSeconds, pattern: &str) -> String {
        in_zone(&self.zone, at).map_or_else(|| format!("@{}", at.0), |at| at.format(pattern).to_string())
    }
}

/// The two digits that matter: `40s`, `43m`, `9h`, `12d`.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn in_zone<Zone: TimeZone>(zone: &Zone, at: UnixSeconds) -> Option<DateTime<Zone>> {
    DateTime::from_timestamp(at.0, 0).map(|at| at.with_timezone(zone))
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    /// 2023-11-14T22:13:20Z.
    const AT: UnixSeconds = UnixSeconds(1_700_000_000);

    #[test]
    fn people_get_the_time_of_today_and_the_day_of_other_days() {
        let calendar = Calendar { now: AT, zone: Utc };
        assert_eq!(calendar.brief(UnixSeconds(AT.0 - 3600)), "21:13");
        assert_eq!(calendar.brief(UnixSeconds(AT.0 + 86_400)), "15 Nov");
        assert_eq!(calendar.brief(UnixSeconds(AT.0 + 365 * 86_400)), "13 Nov");
        assert_eq!(calendar.date(AT), "14 Nov 2023");
        assert_eq!(calendar.full(AT), "14 Nov 2023 22:13");
    }

    #[test]
    fn spans_are_as_short_as_they_can_be_without_misleading() {
        let calendar = Calendar { now: AT, zone: Utc };
        let left = |seconds| calendar.left(UnixSeconds(AT.0 + seconds));
        let spans = [59, 60, 3599, 3600, 172_799, 172_800].map(|seconds| left(seconds).unwrap());
        assert_eq!(spans, ["59s", "1m", "59m", "1h", "47h", "2d"]);
        assert_eq!((left(0), left(-5)), (None, None));
        assert_eq!(calendar.ago(UnixSeconds(AT.0 - 720)), "12m");
    }
}
