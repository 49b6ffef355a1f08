//! What a provider knows from us and may quote: nothing that it says is shown, logged or kept but through [`Secrets::show`].
//!
//! Providers have been seen to quote the refused token, or the whole request with its headers, in `error_description`.
//! Invariant: there are no [`Secrets`] without those of our registration, and no request or answer without [`Secrets`].

use std::ops::Range;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER};
use tokenkeeper_protocol::Secret;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::words::is_treacherous;
use crate::config::settings::ProviderSettings;

/// What is shown of such a text; a sentence fits, a page of HTML does not.
const SHOWN_CHARS: usize = 200;

/// Shorter secrets are not struck out: they would be found by chance in ordinary words.
const SHORTEST_SECRET: usize = 6;

const REDACTED: &str = "[redacted]";

/// The secrets that are struck out.
#[derive(Clone, Debug)]
pub(super) struct Secrets(Vec<Secret>);

impl Secrets {
    /// Those of our registration. Every request adds its own to them.
    pub(super) fn of(settings: &ProviderSettings) -> Self {
        let Some(secret) = &settings.client_secret else { return Self(Vec::new()) };
        // What `Authorization: Basic` holds (RFC 6749 section 2.3.1), and what it holds where nobody form-encodes.
        let encoded = |text: &str| Zeroizing::new(byte_serialize(text.as_bytes()).collect::<String>());
        let pair = |id: &str, secret: &str| Secret::from([id, ":", secret].concat());
        let plain = pair(&settings.client_id, secret.expose());
        Self(vec![secret.clone(), plain, pair(&encoded(&settings.client_id), &encoded(secret.expose()))])
    }

    /// These and `more`.
    pub(super) fn with<'a>(&self, more: impl IntoIterator<Item = &'a Secret>) -> Self {
        Self(self.0.iter().cloned().chain(more.into_iter().cloned()).collect())
    }

    /// `text` for people: on one line, of bounded length, without these secrets, and without characters that change how it is
    /// displayed.
    pub(super) fn show(&self, text: &str) -> String {
        cut(self.strike_out(text).trim())
    }

    /// Whether one of them is in `text`.
    pub(super) fn are_in(&self, text: &str) -> bool {
        self.strike_out(text).contains(REDACTED)
    }

    fn strike_out(&self, text: &str) -> String {
        let forms: Vec<_> = self.0.iter().filter(|secret| secret.len() >= SHORTEST_SECRET).flat_map(forms).collect();
        let mut text = Zeroizing::new(text.to_owned());
        let mut needles = Vec::new();
        for form in &forms {
            let needle = Legible::of(form);
            if needle.text.chars().count() < SHORTEST_SECRET {
                // Little else is left of it: found to the letter or not at all.
                text = Zeroizing::new(text.replace(form.as_str(), REDACTED));
            } else {
                needles.push(needle);
            }
        }
        let legible = Legible::of(&text);
        let mut found: Vec<_> = needles.iter().flat_map(|needle| legible.find(needle)).collect();
        found.sort_unstable_by_key(|range| range.start);
        let (mut shown, mut end) = (String::new(), 0);
        for range in found {
            if range.start >= end {
                shown.extend(neutral(&text[end..range.start]));
                shown.push_str(REDACTED);
            }
            end = end.max(range.end);
        }
        shown.extend(neutral(&text[end..]));
        shown
    }
}

/// A secret as it is, as it stood in the form that was sent, and as programs write down bytes.
fn forms(secret: &Secret) -> [Zeroizing<String>; 5] {
    let bytes = secret.expose().as_bytes();
    [
        secret.expose().to_owned(),
        byte_serialize(bytes).collect(),
        BASE64_NOPAD.encode(bytes),
        BASE64URL_NOPAD.encode(bytes),
        HEXLOWER.encode(bytes),
    ]
    .map(Zeroizing::new)
}

/// What can be read of a text: letters, digits and ASCII signs, whatever their case. A secret is still read where blanks, line
/// ends, invisible characters or the backslashes of an escape stand in the middle of it.
struct Legible {
    text: Zeroizing<String>,
    /// Where each byte of it was.
    places: Vec<usize>,
}

impl Legible {
    fn of(text: &str) -> Self {
        let mut legible = Zeroizing::new(String::with_capacity(text.len()));
        let mut places = Vec::with_capacity(text.len());
        for (place, c) in text.char_indices().filter(|(_, c)| c.is_alphanumeric() || c.is_ascii_graphic() && *c != '\\')
        {
            legible.push(c.to_ascii_lowercase());
            places.extend(place..place + c.len_utf8());
        }
        Self { text: legible, places }
    }

    /// Where `needle` stands in the text that this is of.
    fn find(&self, needle: &Self) -> impl Iterator<Item = Range<usize>> {
        let found = self.text.match_indices(needle.text.as_str());
        found.map(|(at, it)| self.places[at]..self.places[at + it.len() - 1] + 1)
    }
}

fn neutral(text: &str) -> impl Iterator<Item = char> {
    text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !is_treacherous(*c))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS - 1) {
        Some((end, last)) if end + last.len_utf8() < text.len() => format!("{}…", text[..end].trim_end()),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::scripted::oidc_settings;

    const TOKEN: &str = "rt-0123456789";

    fn secrets(client_secret: &str, sent: &[&str]) -> Secrets {
        let mut settings = oidc_settings("https://id.example");
        settings.client_secret = Some(Secret::from(client_secret));
        Secrets::of(&settings).with(&sent.iter().map(|&it| Secret::from(it)).collect::<Vec<_>>())
    }

    fn show(text: &str) -> String {
        secrets("s3cr3t", &[TOKEN]).show(text)
    }

    #[test]
    fn what_a_provider_says_is_shown_without_tricks_and_without_our_secrets() {
        assert_eq!(show("token\n'rt-0123456789'\u{1b}[31m is \u{202e}old"), "token '[redacted]'[31m is old");
        assert_eq!(
            show("s3cr3t, and rt-0123456789 twice: rt-0123456789"),
            "[redacted], and [redacted] twice: [redacted]"
        );
        let quoted = secrets("s3cr3t", &["rt/0+ 1"]).show("in refresh_token=rt%2f0%2B+1&x");
        assert_eq!(quoted, "in refresh_token=[redacted]&x");
    }

    #[test]
    fn a_secret_with_something_in_the_middle_of_it_is_struck_out_all_the_same() {
        for split in ["\u{200b}", "\u{1}", "\u{ad}", "\u{61c}", "\u{fe0f}", "\u{e0041}", "\n", "\r\n ", "\\"] {
            let said = format!("the {}{split}{} is old", &TOKEN[..5], &TOKEN[5..]);
            assert_eq!(show(&said), "the [redacted] is old", "{split:?}");
        }
        assert_eq!(show(&TOKEN.to_uppercase()), REDACTED);
        assert_eq!(show("s3c\u{200b}r3t:s3\u{1}cr3t"), "[redacted]:[redacted]");
    }

    #[test]
    fn a_secret_is_struck_out_whatever_is_in_it() {
        for odd in
            ["pass  word\t!", "p\\ss\"w/rd", "\u{202e}drowssap\u{200b}x", "пароль", "🗝🗝🗝🗝", "a\u{1}b c\n", "Ünïcödé"]
        {
            let shown = secrets(odd, &[]).show(&format!("not {odd} at all"));
            assert_eq!(shown, "not [redacted] at all", "{odd:?}");
        }
    }

    #[test]
    fn the_header_that_we_send_and_encoded_secrets_are_struck_out() {
        let secret = "hunter2 S3cret&x=+/%s";
        let form: String = byte_serialize(secret.as_bytes()).collect();
        let secrets = secrets(secret, &[TOKEN]);
        for text in [secret.to_owned(), format!("shop:{secret}"), format!("shop:{form}"), TOKEN.to_owned()] {
            let bytes = text.as_bytes();
            let hex = HEXLOWER.encode(bytes);
            let padded = [data_encoding::BASE64.encode(bytes), data_encoding::BASE64URL.encode(bytes)];
            let bare = [BASE64_NOPAD.encode(bytes), BASE64URL_NOPAD.encode(bytes), hex.to_uppercase(), hex];
            for encoded in padded.iter().chain(&bare) {
                let shown = secrets.show(&format!("Authorization: Basic {encoded} is wrong")).replace('=', "");
                assert_eq!(shown, "Authorization: Basic [redacted] is wrong", "{text} as {encoded}");
            }
        }
    }

    #[test]
    fn ordinary_words_stay() {
        let said = "AADSTS50173: the grant of client 'shop' has expired (see https://id.example/x?y=1) – früher";
        assert_eq!(show(said), said);
        assert_eq!(secrets("short", &[]).show("short of breath"), "short of breath");
        assert!(secrets("s3cr3t", &[]).are_in("https://id.example/s3cr3t") && !secrets("s3cr3t", &[]).are_in(said));
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        assert_eq!(show(&"x".repeat(200)), "x".repeat(200));
        assert_eq!(show(&"x".repeat(201)), format!("{}…", "x".repeat(199)));
        assert_eq!(show(&"ü".repeat(1000)), format!("{}…", "ü".repeat(199)));
        // What is cut off is not what kept a secret from being found.
        let at_the_end = show(&format!("{}{TOKEN}", "x ".repeat(97)));
        assert_eq!(at_the_end, format!("{}[reda…", "x ".repeat(97)));
    }
}
