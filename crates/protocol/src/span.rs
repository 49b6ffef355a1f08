//! Spans of time as people and programs write them, on the command line and in HTTP: `60s`, `5m`, `2h`, `500ms`, or a bare number
//! of seconds.

use std::time::Duration;

/// A text is no span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a number and its unit: 500ms, 60s, 5m, 2h or 1d; no more than 49 days")]
pub struct InvalidSpan;

/// Reads a number with its unit; without one, seconds. No longer than 49 days, so that it fits the protocol in milliseconds.
pub fn parse(text: &str) -> Result<Duration, InvalidSpan> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" | "" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(InvalidSpan),
    };
    let total = number.parse::<u64>().ok().and_then(|number| number.checked_mul(milliseconds));
    total.filter(|total| u32::try_from(*total).is_ok()).map(Duration::from_millis).ok_or(InvalidSpan)
}

/// As `min_valid_seconds` of a request: rounded up, because whoever asks wants at least this.
pub fn whole_seconds(span: Duration) -> u32 {
    u32::try_from(span.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

/// As `timeout_ms` of a request.
pub fn milliseconds(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_in_every_unit() {
        let told = ["500ms", "60s", "60", "5m", "2h", "1d", "0"].map(|text| milliseconds(parse(text).unwrap()));
        assert_eq!(told, [500, 60_000, 60_000, 300_000, 7_200_000, 86_400_000, 0]);
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in ["", "s", "-5s", "1.5h", "5 m", "5w", "50d", "99999999999999999999s"] {
            assert_eq!(parse(text), Err(InvalidSpan), "{text}");
        }
    }

    #[test]
    fn a_part_of_a_second_of_validity_is_a_whole_one() {
        assert_eq!([0, 1, 1000, 1001].map(|ms| whole_seconds(Duration::from_millis(ms))), [0, 1, 1, 2]);
    }
}
