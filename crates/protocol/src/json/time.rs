//! Points in time as programs read them.

use chrono::{DateTime, SecondsFormat, Utc};

use crate::UnixSeconds;

/// RFC 3339 in UTC, such as `2026-12-22T14:02:00Z`; `@` and the seconds for a time that no calendar reaches.
pub fn rfc3339(at: UnixSeconds) -> String {
    DateTime::<Utc>::from_timestamp(at.0, 0)
        .map_or_else(|| format!("@{}", at.0), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}
