//! The notations of single values: spans of time, percentages, cron lines, scopes.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use croner::parser::{CronParser, Seconds};

/// What is wrong with a value and what is allowed; reads on from the name of the key: `idle must be ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint(String);

impl Complaint {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const SECOND: u64 = 1;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;

/// A span of time such as `30d`, `12h`, `5m`, `60s` or `1w`, within `seconds`.
pub(super) fn span(seconds: RangeInclusive<u64>) -> impl Fn(&str) -> Result<Duration, Complaint> {
    move |text| {
        let notation = || {
            let allowed = "write a whole number and one of s, m, h, d, w, such as \"90s\" or \"30d\"";
            Complaint::new(format!("is no span of time: {text:?}; {allowed}"))
        };
        let unit_at = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(notation)?;
        let (number, unit) = text.split_at(unit_at);
        let unit = match unit {
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            "d" => DAY,
            "w" => WEEK,
            _ => return Err(notation()),
        };
        if number.is_empty() {
            return Err(notation());
        }
        // Too many digits for a number are too much for any range.
        let length = number.parse().ok().and_then(|number: u64| number.checked_mul(unit)).unwrap_or(u64::MAX);
        if seconds.contains(&length) {
            Ok(Duration::from_secs(length))
        } else {
            let (least, most) = (in_words(*seconds.start()), in_words(*seconds.end()));
            Err(Complaint::new(format!("must be from \"{least}\" to \"{most}\", not {text:?}")))
        }
    }
}

/// The shortest notation of a span.
fn in_words(seconds: u64) -> String {
    let units = [(DAY, 'd'), (HOUR, 'h'), (MINUTE, 'm')];
    let fitting = units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (unit, letter) = fitting.unwrap_or((SECOND, 's'));
    format!("{}{letter}", seconds / unit)
}

/// A rate such as `20/s` or `300/m`; requests in a minute come out.
pub(super) fn rate(text: &str) -> Result<u32, Complaint> {
    let notation = || {
        Complaint::new(format!(
            "is no rate: {text:?}; write a whole number from 1 to 10000 and /s or /m, such as \"20/s\""
        ))
    };
    let (number, unit) = text.split_once('/').ok_or_else(notation)?;
    let number = number.parse().ok().filter(|number| (1..=10_000).contains(number)).ok_or_else(notation)?;
    match unit {
        "s" => Ok(number * 60),
        "m" => Ok(number),
        _ => Err(notation()),
    }
}

/// A percentage such as `70%`, within `range`.
pub(super) fn percentage(range: RangeInclusive<u8>) -> impl Fn(&str) -> Result<u8, Complaint> {
    move |text| {
        let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok()).filter(|number| range.contains(number));
        let complaint =
            || Complaint::new(format!("must be from \"{}%\" to \"{}%\", not {text:?}", range.start(), range.end()));
        number.ok_or_else(complaint)
    }
}

/// A cron line of five fields, or six with seconds first; always six come out.
pub(super) fn cron(text: &str) -> Result<String, Complaint> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let line = match fields.len() {
        5 => format!("0 {}", fields.join(" ")),
        6 => fields.join(" "),
        _ => {
            let allowed = "write minute, hour, day of month, month, day of week, such as \"*/5 * * * *\"";
            return Err(Complaint::new(format!(
                "is no cron line: {text:?}; {allowed} (a sixth field in front: seconds)"
            )));
        }
    };
    // As the scheduler parses it: what is accepted here is accepted there.
    let parser = CronParser::builder().seconds(Seconds::Required).dom_and_dow(true).build();
    match parser.parse(&line) {
        Ok(_) => Ok(line),
        Err(error) => Err(Complaint::new(format!("is no cron line: {text:?}: {error}"))),
    }
}

/// One scope (RFC 6749 section 3.3).
pub(super) fn scope(text: &str) -> Result<String, Complaint> {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if !text.is_empty() && text.bytes().all(is_allowed) {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(format!("holds {text:?}, which is no scope; write each as a string of its own, without spaces")))
}

/// A text without control characters that is not empty.
pub(super) fn plain(text: &str) -> Result<String, Complaint> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Complaint::new("must be a text that is not empty and holds no control characters"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_have_one_number_and_one_unit() {
        let any = span(0..=1000 * DAY);
        for (text, seconds) in
            [("0s", 0), ("60s", 60), ("5m", 300), ("12h", 43_200), ("30d", 2_592_000), ("1w", 604_800)]
        {
            assert_eq!(any(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "5", "s", "5 m", "-5m", "1h30m", "5M", "1.5h", "५s", "5ms"] {
            let complaint = any(wrong).unwrap_err().to_string();
            assert!(complaint.contains("such as \"90s\""), "{wrong}: {complaint}");
        }
    }

    #[test]
    fn a_span_outside_of_its_range_is_told_the_range() {
        let complaint = span(1..=300)("10m").unwrap_err().to_string();
        assert_eq!(complaint, "must be from \"1s\" to \"5m\", not \"10m\"");
        assert!(span(1..=300)("0s").is_err());
        assert!(span(1..=300)("99999999999999999999999w").is_err());
    }

    #[test]
    fn percentages_carry_their_sign() {
        let refresh_at = percentage(10..=95);
        assert_eq!(refresh_at("70%"), Ok(70));
        for wrong in ["70", "%", "9%", "96%", "+70%", "300%", "7 0%"] {
            assert!(refresh_at(wrong).unwrap_err().to_string().contains("\"10%\" to \"95%\""), "{wrong}");
        }
    }

    #[test]
    fn a_cron_line_comes_out_with_seconds() {
        assert_eq!(cron("*/5 * * * *"), Ok("0 */5 * * * *".to_owned()));
        assert_eq!(cron(" 30  17 3 * *  MON "), Ok("30 17 3 * * MON".to_owned()));
    }

    #[test]
    fn a_wrong_cron_line_says_what_is_wrong() {
        assert!(cron("* * *").unwrap_err().to_string().contains("minute, hour, day of month"));
        let complaint = cron("61 * * * *").unwrap_err().to_string();
        assert!(complaint.contains("\"61 * * * *\"") && complaint.len() > 40, "{complaint}");
        assert!(cron("every five minutes or so").is_err());
        assert!(cron("").is_err());
    }

    #[test]
    fn scopes_are_single_words() {
        assert_eq!(scope("https://api.example/read"), Ok("https://api.example/read".to_owned()));
        for wrong in ["", "openid profile", "a\"b", "ü"] {
            assert!(scope(wrong).unwrap_err().to_string().contains("without spaces"), "{wrong}");
        }
    }
}
