//! Reads JSON answers by the pointers of the configuration (RFC 6901), into the shapes of the standards.

use chrono::DateTime;
use serde_json::{Map, Value};
use tokenkeeper_protocol::{Secret, UnixSeconds};
use zeroize::Zeroize;

use crate::config::custom::{Answer, Expiry};
use crate::provider::Fault;
use crate::provider::answer::HttpAnswer;
use crate::provider::loose::{LARGEST_SECONDS, Loose};
use crate::provider::token_answer::{Reading, Wire};

/// Where an error stands unless told.
const ERROR: &str = "/error";
const ERROR_DESCRIPTION: &str = "/error_description";

/// JSON that may hold tokens: its texts are wiped when it is dropped.
#[derive(Debug)]
pub(super) struct Wiped(pub(super) Value);

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What a provider answered with, and where in it things are.
pub(super) struct Body<'a> {
    json: Wiped,
    at: &'a Answer,
}

impl<'a> Body<'a> {
    /// The body of `answer`. A page instead of JSON is a matter of its status, where that says no.
    pub(super) fn of(answer: &HttpAnswer, at: &'a Answer) -> Result<Self, Fault> {
        let is_success = answer.status.is_success();
        let json = answer.json().map_err(|fault| if is_success { fault } else { answer.bad_status() })?;
        Ok(Self { json: Wiped(json), at })
    }

    /// Tokens, or an error.
    pub(super) fn reading(&self, answer: &HttpAnswer, now: UnixSeconds) -> Result<Reading, Fault> {
        let wire = Wire {
            access_token: self.loose(self.at.access_token.as_ref()),
            refresh_token: self.loose(self.at.refresh_token.as_ref()),
            id_token: self.loose(self.at.id_token.as_ref()),
            token_type: self.loose(self.at.token_type.as_ref()),
            scope: self.loose(self.at.scope.as_ref()),
            expires_in: self.life(now),
            error: self.error().map_or_else(Loose::default, |error| Loose::Text(Secret::from(error))),
            error_description: self.text(self.description_at()),
            correlation_id: self.at.correlation_id.as_deref().map_or_else(Loose::default, |it| self.text(it)),
            ..Wire::default()
        };
        wire.reading(answer)
    }

    /// The error in it, being in `answer`, fit to be shown, and its description.
    pub(super) fn said(&self, answer: &HttpAnswer) -> Option<(String, Option<String>)> {
        let shown = |text: Secret| answer.secrets.show(text.expose());
        let error = answer.secrets.show(&self.error()?);
        let description = self.text(self.description_at()).text().map(shown);
        let correlation = self.at.correlation_id.as_deref().and_then(|it| self.text(it).text());
        Some((error, described(description, correlation.map(|it| format!("correlation_id {}", shown(it))))))
    }

    /// What it tells of the user, under the names of the standard; `name_claim` is that of the name.
    pub(super) fn claims(&self, name_claim: &str) -> Map<String, Value> {
        let found = [("sub", &self.at.subject), (name_claim, &self.at.name), ("email", &self.at.email)];
        let members = found.into_iter().filter_map(|(claim, pointer)| {
            let value = self.find(pointer.as_ref()?)?;
            Some((claim.to_owned(), value.clone()))
        });
        members.collect()
    }

    fn find(&self, pointer: &str) -> Option<&Value> {
        self.json.0.pointer(pointer).filter(|value| !value.is_null())
    }

    fn loose(&self, pointer: Option<&String>) -> Loose {
        pointer.and_then(|pointer| self.find(pointer)).map_or_else(Loose::default, loose)
    }

    /// An error is a text or a number; what stands in its place where there is none says nothing.
    fn error(&self) -> Option<String> {
        match self.find(self.at.error.as_deref().unwrap_or(ERROR))? {
            Value::String(text) if !text.is_empty() && text != "0" => Some(text.clone()),
            Value::Number(number) if number.as_f64() != Some(0.0) => Some(number.to_string()),
            _ => None,
        }
    }

    fn description_at(&self) -> &str {
        self.at.error_description.as_deref().unwrap_or(ERROR_DESCRIPTION)
    }

    /// For people: a number or an object as it is written.
    fn text(&self, pointer: &str) -> Loose {
        let text = self.find(pointer).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        text.map_or_else(Loose::default, |text| Loose::Text(Secret::from(text)))
    }

    fn life(&self, now: UnixSeconds) -> Loose {
        let Some((how, pointer)) = &self.at.expires else { return Loose::default() };
        let Some(value) = self.find(pointer) else { return Loose::default() };
        let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        let seconds = match (how, number) {
            (Expiry::InSeconds, Some(number)) => Some(number),
            (Expiry::InMilliseconds, Some(number)) => Some(number / 1000.0),
            (Expiry::At, Some(at)) if at > LARGEST_SECONDS.as_secs_f64() => until(at / 1000.0, now),
            (Expiry::At, Some(at)) => until(at, now),
            (Expiry::At, None) => value.as_str().and_then(|text| {
                let at = DateTime::parse_from_rfc3339(text).ok()?;
                span(UnixSeconds(at.timestamp()), now)
            }),
            (_, None) => None,
        };
        seconds.map_or_else(Loose::default, Loose::Number)
    }
}

/// A description with what the provider's own log calls the answer, where there is no other place for that.
pub(super) fn described(description: Option<String>, correlation: Option<String>) -> Option<String> {
    let Some(correlation) = correlation.map(|it| format!("the provider's log has it under {it}")) else {
        return description;
    };
    Some(description.map_or(correlation.clone(), |description| format!("{description}; {correlation}")))
}

/// Tokens whose end is past live no longer than those of which nothing is said; the keeper finds out soon enough.
fn until(at: f64, now: UnixSeconds) -> Option<f64> {
    #[expect(clippy::cast_possible_truncation, reason = "what does not fit is taken for the last second there is")]
    span(UnixSeconds(at as i64), now)
}

fn span(at: UnixSeconds, now: UnixSeconds) -> Option<f64> {
    (at > now).then(|| at.since(now).as_secs_f64())
}

fn loose(value: &Value) -> Loose {
    match value {
        Value::String(text) => Loose::Text(Secret::from(text.as_str())),
        Value::Number(number) => number.as_f64().map_or_else(Loose::default, Loose::Number),
        Value::Array(items) => Loose::Texts(items.iter().filter_map(Value::as_str).map(Secret::from).collect()),
        Value::Null | Value::Bool(_) | Value::Object(_) => Loose::default(),
    }
}
