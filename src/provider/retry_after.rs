//! `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date. In its place, what tells when the window of a rate limit ends.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime};
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use tokenkeeper_protocol::UnixSeconds;

/// A longer wait is taken as this: nobody means a refresh to wait for a week, and an early try only earns the same answer.
const LONGEST: Duration = Duration::from_hours(24);

/// The forms of a date that are obsolete, and to be understood all the same (RFC 9110 section 5.6.7): of RFC 850, and of asctime.
const OLD_DATES: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// Names for when the window of a rate limit ends: that of Okta and X, that of Auth0 and GitHub, and that of a draft of the IETF. Some
/// write seconds, and some the time.
const RESETS: [&str; 3] = ["x-rate-limit-reset", "x-ratelimit-reset", "ratelimit-reset"];

/// A larger number of seconds is a time.
const TIMES: u64 = 1_000_000_000;

/// A window that lasts longer is not believed: no standard says what the number is.
const LONGEST_WINDOW: Duration = Duration::from_hours(1);

/// How long to wait; nothing, if that is no time at all. A date is taken relative to the answer's own `Date`, so that the two
/// clocks need not agree.
pub(super) fn read(status: StatusCode, headers: &HeaderMap, now: UnixSeconds) -> Option<Duration> {
    let there = date(headers, &DATE).unwrap_or(now);
    let wait = match headers.get(RETRY_AFTER) {
        Some(_) => asked_for(headers, there)?.min(LONGEST),
        // Other answers have these headers too, while there is room in the window.
        None if status == StatusCode::TOO_MANY_REQUESTS => {
            end_of_window(headers, there).filter(|wait| *wait <= LONGEST_WINDOW)?
        }
        None => return None,
    };
    Some(wait).filter(|wait| !wait.is_zero())
}

fn asked_for(headers: &HeaderMap, there: UnixSeconds) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        return Some(text.parse().map_or(LONGEST, Duration::from_secs));
    }
    Some(date(headers, &RETRY_AFTER)?.since(there))
}

fn end_of_window(headers: &HeaderMap, there: UnixSeconds) -> Option<Duration> {
    let number = |name: &&str| headers.get(*name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let number = RESETS.iter().find_map(number)?;
    let time = i64::try_from(number).ok().filter(|_| number > TIMES).map(UnixSeconds);
    Some(time.map_or(Duration::from_secs(number), |time| time.since(there)))
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
        wait_at(StatusCode::TOO_MANY_REQUESTS, UnixSeconds(784_111_777), headers)
    }

    fn wait_at(status: StatusCode, now: UnixSeconds, headers: &[(HeaderName, &'static str)]) -> Option<Duration> {
        let headers = headers.iter().cloned().map(|(name, text)| (name, text.parse().expect("a header value")));
        read(status, &headers.collect(), now)
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

    #[test]
    fn without_it_the_end_of_a_rate_limit_is_understood_as_seconds_or_as_time() {
        let now = UnixSeconds(1_800_000_000);
        let busy = |name, text| wait_at(StatusCode::TOO_MANY_REQUESTS, now, &[(HeaderName::from_static(name), text)]);
        for name in RESETS {
            assert_eq!(busy(name, "30"), Some(Duration::from_secs(30)), "{name}");
            assert_eq!(busy(name, "1800000040"), Some(Duration::from_secs(40)), "{name}");
            for not_believed in ["0", "1799999999", "1800003601", "1800000040000", "99999999999999999999", "soon", "-1"]
            {
                assert_eq!(busy(name, not_believed), None, "{name}: {not_believed}");
            }
        }
        let reset = (HeaderName::from_static("x-ratelimit-reset"), "1800000040");
        let other_clock = [reset.clone(), (DATE, "Fri, 15 Jan 2027 08:00:30 GMT")];
        assert_eq!(wait_at(StatusCode::TOO_MANY_REQUESTS, now, &other_clock), Some(Duration::from_secs(10)));
        let both = [reset.clone(), (RETRY_AFTER, "7")];
        assert_eq!(wait_at(StatusCode::TOO_MANY_REQUESTS, now, &both), Some(Duration::from_secs(7)));
        assert_eq!(wait_at(StatusCode::INTERNAL_SERVER_ERROR, now, &[reset]), None, "there is room in the window");
    }
}
