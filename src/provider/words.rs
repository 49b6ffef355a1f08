//! Text that a provider or a browser wrote, made harmless before it is shown, logged or kept.
//!
//! Providers have been seen to quote the refused token in `error_description`: what was sent is struck out.

use tokenkeeper_protocol::Secret;
use url::form_urlencoded::byte_serialize;

/// What is shown of such a text; a sentence fits, a page of HTML does not.
const SHOWN_CHARS: usize = 200;

/// Shorter secrets are not struck out: they would be found by chance in ordinary words.
const SHORTEST_SECRET: usize = 6;

/// `text` for people: on one line, of bounded length, without `secrets`, and without characters that change how it is displayed.
pub(super) fn harmless(text: &str, secrets: &[&Secret]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST_SECRET) {
        // As it is, and as it stood in the form that was sent.
        let encoded: String = byte_serialize(secret.expose().as_bytes()).collect();
        text = text.replace(secret.expose(), "[redacted]").replace(&encoded, "[redacted]");
    }
    let visible = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !is_treacherous(*c));
    visible.take(SHOWN_CHARS).collect::<String>().trim().to_owned()
}

/// `text` as it is, if it is fit to be kept as a name: not empty, not too long, and displayed as it is written.
pub(super) fn plain(text: &str, max_bytes: usize) -> Option<String> {
    let fit = (1..=max_bytes).contains(&text.len()) && !text.chars().any(is_treacherous);
    fit.then(|| text.to_owned())
}

/// Control characters, and those that reorder or hide text.
fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_says_is_shown_without_tricks_and_without_our_secrets() {
        let said = "token\n'rt-0123456789'\u{1b}[31m is \u{202e}old";
        assert_eq!(harmless(said, &[&Secret::from("rt-0123456789")]), "token '[redacted]'[31m is old");
        assert_eq!(harmless(&"x".repeat(1000), &[]).len(), SHOWN_CHARS);
        let quoted = harmless("in refresh_token=rt%2F0%2B+1&x", &[&Secret::from("rt/0+ 1")]);
        assert_eq!(quoted, "in refresh_token=[redacted]&x");
    }

    #[test]
    fn a_name_is_kept_as_it_is_or_not_at_all() {
        assert_eq!(plain("Zoë", 10).as_deref(), Some("Zoë"));
        for wrong in ["", "a\tb", "a\u{202e}b", "much too long"] {
            assert_eq!(plain(wrong, 10), None, "{wrong:?}");
        }
    }
}
