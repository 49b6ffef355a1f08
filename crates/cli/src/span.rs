//! Reads spans of time as people write them: `60s`, `5m`, `2h`, `500ms`.

use std::time::Duration;

/// A number with its unit; without one, seconds. No longer than 49 days, so that it fits the protocol in milliseconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" | "" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("write a number and its unit: 500ms, 60s, 5m, 2h or 1d".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "write a number and its unit, such as 60s".to_owned())?;
    let total = number.checked_mul(milliseconds).filter(|total| u32::try_from(*total).is_ok());
    total.map(Duration::from_millis).ok_or_else(|| "no more than 49 days".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_in_every_unit() {
        for (text, milliseconds) in
            [("500ms", 500), ("60s", 60_000), ("60", 60_000), ("5m", 300_000), ("2h", 7_200_000), ("0", 0)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_span_is_refused_with_an_example() {
        for text in ["", "s", "-5s", "1.5h", "5 m", "5w", "50d", "99999999999999999999s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
