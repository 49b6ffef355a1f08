//! A JSON object whose keys are all known: what is not is refused, with the name that was probably meant.
//!
//! No message repeats a value, because it may be a secret in the wrong place; and no value is copied before it is wanted.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use tokenkeeper_protocol::{Secret, span};

use super::problem::Failure;
use crate::config::suggest;

/// What to write for a span of time.
const SPAN: &str = "a span of time such as \"60s\", \"5m\" or \"500ms\", or a number of seconds";

/// The members of a body.
pub(super) struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    /// Reads a body; an empty one is an empty object.
    pub(super) fn parse(body: &'a [u8], known: &[&str]) -> Result<Self, Failure> {
        if body.is_empty() {
            return Ok(Self(BTreeMap::new()));
        }
        let members: Members<'_> = serde_json::from_slice(body)
            .map_err(|error| Failure::bad(format!("the body is not one JSON object: {}", in_words(&error))))?;
        for name in members.0.keys() {
            if !known.contains(&name.as_str()) {
                return Err(unknown(name, known));
            }
        }
        Ok(Self(members.0))
    }

    /// A text that means something.
    pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<Option<T>, Failure> {
        let text = self.text(name)?;
        text.map(|text| text.parse().map_err(|error| Failure::bad(format!("{name}: {error}")))).transpose()
    }

    /// The same, where it must be there.
    pub(super) fn required<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<T, Failure> {
        self.parsed(name)?.ok_or_else(|| missing(name))
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        self.read(name, "a string")
    }

    /// Texts; none if it is not there.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Failure> {
        Ok(self.read(name, "an array of strings")?.unwrap_or_default())
    }

    /// A secret that must be there.
    pub(super) fn secret(&self, name: &str) -> Result<Secret, Failure> {
        self.text(name)?.map(Secret::from).ok_or_else(|| missing(name))
    }

    /// A span of time.
    pub(super) fn span(&self, name: &str) -> Result<Option<Duration>, Failure> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Told {
            Seconds(u32),
            Text(String),
        }
        match self.read(name, SPAN)? {
            None => Ok(None),
            Some(Told::Seconds(seconds)) => Ok(Some(Duration::from_secs(seconds.into()))),
            Some(Told::Text(text)) => span::parse(&text).map(Some).map_err(|_| must_be(name, SPAN)),
        }
    }

    fn read<T: Deserialize<'a>>(&self, name: &str, wanted: &str) -> Result<Option<T>, Failure> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        serde_json::from_str(value.get()).map_err(|_| must_be(name, wanted))
    }
}

/// The answer to a name that is none of `known`.
pub(super) fn unknown(name: &str, known: &[&str]) -> Failure {
    let next = if known.is_empty() { "none is allowed here".to_owned() } else { suggest(name, known) };
    // A name of any length and content could come back in a log.
    let name: String = name.chars().take(64).collect();
    Failure::bad(format!("unknown key {name:?}; {next}"))
}

pub(super) fn missing(name: &str) -> Failure {
    Failure::bad(format!("{name} is missing"))
}

fn must_be(name: &str, wanted: &str) -> Failure {
    Failure::bad(format!("{name} must be {wanted}"))
}

/// What is wrong and where, without the value.
fn in_words(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    match error.classify() {
        Category::Data => format!("line {}, column {}", error.line(), error.column()),
        Category::Syntax | Category::Eof | Category::Io => error.to_string(),
    }
}

/// Any object without two members of one name, which different readers would understand differently.
struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("the same key twice"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["provider", "scopes", "min_valid"];

    fn refusal(body: &str) -> String {
        let refused = |object: &Object<'_>| {
            object.text("provider").err().or(object.texts("scopes").err()).or(object.span("min_valid").err())
        };
        let failure = match Object::parse(body.as_bytes(), KNOWN) {
            Ok(object) => refused(&object).unwrap_or_else(|| panic!("{body} is let through")),
            Err(failure) => failure,
        };
        assert_eq!(failure.status.as_u16(), 400);
        failure.problem.message
    }

    #[test]
    fn what_is_there_is_read_and_what_is_not_is_nothing() {
        let body = r#"{"provider":"corp","scopes":["a","b"],"min_valid":null}"#;
        let object = Object::parse(body.as_bytes(), KNOWN).unwrap();
        assert_eq!(object.text("provider").unwrap().as_deref(), Some("corp"));
        assert_eq!(object.texts("scopes").unwrap(), ["a", "b"]);
        assert_eq!(object.span("min_valid").unwrap(), None);
        let nothing = Object::parse(b"", KNOWN).unwrap();
        assert_eq!((nothing.text("provider").unwrap(), nothing.texts("scopes").unwrap()), (None, vec![]));
    }

    #[test]
    fn a_span_is_a_text_or_a_number_of_seconds() {
        for body in [r#"{"min_valid":"5m"}"#, r#"{"min_valid":300}"#, r#"{"min_valid":"300"}"#] {
            let object = Object::parse(body.as_bytes(), KNOWN).unwrap();
            assert_eq!(object.span("min_valid").unwrap(), Some(Duration::from_secs(300)), "{body}");
        }
    }

    #[test]
    fn a_misspelt_key_is_told_the_right_one() {
        assert_eq!(refusal(r#"{"min_vaild":"60s"}"#), r#"unknown key "min_vaild"; did you mean "min_valid"?"#);
        let all = r#"unknown key "x"; allowed are "provider", "scopes", "min_valid""#;
        assert_eq!(refusal(r#"{"x":1}"#), all);
    }

    #[test]
    fn a_wrong_type_is_told_the_right_one_and_nothing_of_the_value() {
        assert_eq!(refusal(r#"{"provider":{"a":"hunter2"}}"#), "provider must be a string");
        assert_eq!(refusal(r#"{"scopes":"hunter2"}"#), "scopes must be an array of strings");
        assert!(refusal(r#"{"min_valid":"hunter2"}"#).starts_with("min_valid must be a span of time such as"));
        assert!(!refusal(r#"{"min_valid":"hunter2"}"#).contains("hunter2"));
        assert!(!refusal(r#""hunter2""#).contains("hunter2"));
    }

    #[test]
    fn what_is_no_object_is_told_where_it_ends_to_be_one() {
        assert!(refusal("{\n\"provider\":").contains("line 2"), "{}", refusal("{\n\"provider\":"));
        assert!(refusal("[]").contains("not one JSON object"));
        assert!(refusal("{} {}").contains("not one JSON object"));
        assert!(refusal(r#"{"provider":"a","provider":"b"}"#).contains("not one JSON object"));
    }
}
