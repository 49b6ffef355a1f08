//! A value of whatever type the provider thought fit, and what can be made of it.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokenkeeper_protocol::Secret;

/// A longer list of scopes is taken for none: it would not fit into a reply beside the token.
const SCOPE_LIMIT: usize = 4 * 1024;

/// Unix times beyond this are milliseconds: in seconds, it is the year 5138.
pub(super) const LARGEST_SECONDS: Duration = Duration::from_secs(100_000_000_000);

/// Such a value.
#[derive(Default)]
pub(super) enum Loose {
    Text(Secret),
    /// Infinite, if it is too large.
    Number(f64),
    /// The texts of a list.
    Texts(Vec<Secret>),
    #[default]
    Other,
}

/// By looking at its JSON: nothing is built of what is not used, however much of it there is.
impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        Ok(match json.as_bytes().first() {
            Some(b'"') => text(json).map_or(Self::Other, Self::Text),
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
                Self::Texts(items.into_iter().filter_map(|item| text(item.get())).collect())
            }
            _ => json.parse().map_or(Self::Other, Self::Number),
        })
    }
}

/// Whether something is true; some write the word in quotes.
#[derive(Default)]
pub(super) struct Truth(pub(super) bool);

impl<'de> Deserialize<'de> for Truth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        Ok(Self(matches!(json, "true" | "\"true\"")))
    }
}

fn text(json: &str) -> Option<Secret> {
    serde_json::from_str::<String>(json).ok().map(Secret::from)
}

impl Loose {
    /// A text with something in it.
    pub(super) fn text(self) -> Option<Secret> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// Whether it is a list of words, and `word` is none of them.
    pub(super) fn lacks(&self, word: &str) -> bool {
        match self {
            Self::Texts(words) => !words.iter().any(|it| it.expose() == word),
            Self::Text(words) => !words.expose().split_whitespace().any(|it| it == word),
            Self::Number(_) | Self::Other => false,
        }
    }

    /// A span that is longer than nothing. Some providers write 0 or -1 for "never": that is not believed, but no error.
    pub(super) fn seconds(&self) -> Option<Duration> {
        let seconds = match self {
            Self::Number(number) => *number,
            Self::Text(text) => text.expose().trim().parse().ok()?,
            Self::Texts(_) | Self::Other => return None,
        };
        Duration::try_from_secs_f64(seconds).ok().filter(|span| span.as_secs() > 0)
    }

    /// Words separated by single spaces, from a text or a list of them.
    pub(super) fn words(self) -> Option<String> {
        let text = match self {
            Self::Texts(texts) => texts,
            other => vec![other.text()?],
        };
        let words: Vec<_> = text.iter().flat_map(|text| text.expose().split_whitespace()).collect();
        let words = words.join(" ");
        let fit = (1..=SCOPE_LIMIT).contains(&words.len()) && !words.chars().any(char::is_control);
        fit.then_some(words)
    }
}
