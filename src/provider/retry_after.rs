//! `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date.

use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use tokenkeeper_protocol::UnixSeconds;

/// A longer wait is taken as this: nobody means a refresh to wait for a week, and an early try only earns the same answer.
const LONGEST: Duration = Duration::from_hours(24);

/// How long to wait. A date is taken relative to the answer's own `Date`, so that the two clocks need not agree.
pub(super) fn read(headers: &HeaderMap, now: UnixSeconds) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        text.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        let until = date(headers, &RETRY_AFTER)?;
        until.since(date(headers, &DATE).unwrap_or(now))
    };
    Some(wait.min(LONGEST))
}

/// A header that holds a date.
pub(super) fn date(headers: &HeaderMap, name: &HeaderName) -> Option<UnixSeconds> {
    let text = headers.get(name)?.to_str().ok()?;
    DateTime::parse_from_rfc2822(text).ok().map(|date| UnixSeconds(date.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(headers: &[(HeaderName, &'static str)]) -> Option<Duration> {
        let headers = headers.iter().cloned().map(|(name, text)| (name, text.parse().expect("a header value")));
        read(&headers.collect(), UnixSeconds(784_111_777))
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(wait(&[(RETRY_AFTER, "120")]), seconds(120));
        assert_eq!(wait(&[(RETRY_AFTER, "Sun, 06 Nov 1994 08:50:37 GMT")]), seconds(60));
        let dated = [(RETRY_AFTER, "Sun, 06 Nov 1994 08:50:37 GMT"), (DATE, "Sun, 06 Nov 1994 08:50:07 GMT")];
        assert_eq!(wait(&dated), seconds(30));
        assert_eq!(wait(&[(RETRY_AFTER, "Sun, 06 Nov 1994 08:00:00 GMT")]), seconds(0));
    }

    #[test]
    fn nonsense_is_no_wait_and_an_age_is_a_day() {
        assert_eq!(wait(&[]), None);
        for nonsense in ["soon", "-1", "1.5", ""] {
            assert_eq!(wait(&[(RETRY_AFTER, nonsense)]), None, "{nonsense:?}");
        }
        assert_eq!(wait(&[(RETRY_AFTER, "99999999999999999999999")]), Some(LONGEST));
    }
}
