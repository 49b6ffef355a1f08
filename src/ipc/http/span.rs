//! Spans of time in a request: `"60s"`, `"5m"`, `"500ms"`, or a bare number of seconds, as on the command line.

use std::time::Duration;

/// What to write instead.
pub(super) const NOTATION: &str = "a span of time such as \"60s\", \"5m\" or \"500ms\", or a number of seconds";

/// The longest, so that it fits the protocol in milliseconds.
const LONGEST: u64 = u32::MAX as u64;

/// Reads a span of time.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" | "" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let total = number.parse::<u64>().ok()?.checked_mul(milliseconds)?;
    (total <= LONGEST).then(|| Duration::from_millis(total))
}

/// Rounded up: the peer wants at least this.
pub(super) fn whole_seconds(span: Duration) -> u32 {
    u32::try_from(span.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

pub(super) fn milliseconds(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_the_command_line_reads_them() {
        let told = ["500ms", "60s", "60", "5m", "2h", "1d", "0"].map(|text| milliseconds(parse(text).unwrap()));
        assert_eq!(told, [500, 60_000, 60_000, 300_000, 7_200_000, 86_400_000, 0]);
        for text in ["", "s", "-5s", "1.5h", "5 m", "5w", "50d", "99999999999999999999s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_part_of_a_second_of_validity_is_a_whole_one() {
        assert_eq!([0, 1, 1000, 1001].map(|ms| whole_seconds(Duration::from_millis(ms))), [0, 1, 1, 2]);
    }
}
