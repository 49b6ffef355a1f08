//! `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime};
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use tokenkeeper_protocol::UnixSeconds;

/// A longer wait is taken as this: nobody means a refresh to wait for a week, and an early try only earns the same answer.
const LONGEST: Duration = Duration::from_hours(24);

/// The forms of a date that are obsolete, and to be understood all the same (RFC 9110 section 5.6.7): of RFC 850, and of asctime.
const OLD_DATES: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// How long to wait; nothing, if that is no time at all. A date is taken relative to the answer's own `Date`, so that the two
/// clocks need not agree.
pub(super) fn read(headers: &HeaderMap, now: UnixSeconds) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        text.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        let until = date(headers, &RETRY_AFTER)?;
        until.since(date(headers, &DATE).unwrap_or(now))
    };
    Some(wait.min(LONGEST)).filter(|wait| !wait.is_zero())
}

/// A header that holds a date.
pub(super) fn date(headers: &HeaderMap, name: &HeaderName) -> Option<UnixSeconds> {
    let text = headers.get(name)?.to_str().ok()?;
    let of_old = || OLD_DATES.iter().find_map(|form| Some(NaiveDateTime::parse_from_str(text, form).ok()?.and_utc()));
    let date = DateTime::parse_from_rfc2822(text).map_or_else(|_| of_old(), |date| Some(date.to_utc()))?;
    Some(UnixSeconds(date.timestamp()))
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
        for old in ["Sunday, 06-Nov-94 08:50:37 GMT", "Sun Nov  6 08:50:37 1994"] {
            assert_eq!(wait(&[(RETRY_AFTER, old)]), seconds(60), "{old}");
        }
    }

    #[test]
    fn nothing_and_nonsense_are_no_wait_and_an_age_is_a_day() {
        assert_eq!(wait(&[]), None);
        for nonsense in ["soon", "-1", "1.5", "", "0", "Sun, 06 Nov 1994 08:00:00 GMT"] {
            assert_eq!(wait(&[(RETRY_AFTER, nonsense)]), None, "{nonsense:?}");
        }
        assert_eq!(wait(&[(RETRY_AFTER, "99999999999999999999999")]), Some(LONGEST));
    }
}
