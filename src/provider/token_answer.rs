//! The answer of a token endpoint (RFC 6749 section 5), read with patience: what providers really send is in the tests.
//!
//! Invariant: what leaves here has an access token that fits into one header line, and nothing that is too large to be kept.

use std::fmt;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use tokenkeeper_protocol::{Secret, UnixSeconds};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::Fault;
use super::answer::HttpAnswer;
use super::loose::{LARGEST_SECONDS, Loose};
use super::secrets::Secrets;
use crate::domain::{AccessToken, Tokens};

/// A larger access token fits into no request header.
const ACCESS_LIMIT: usize = 16 * 1024;
/// A larger refresh token is no use that is known of.
const REFRESH_LIMIT: usize = 16 * 1024;
/// ID tokens are larger: they may hold what the provider knows of the user.
const ID_LIMIT: usize = 32 * 1024;
/// `Bearer`, `DPoP`; RFC 6749 appendix A.13 sets no limit.
const TOKEN_TYPE_LIMIT: usize = 64;

/// A longer life is taken for this one: some providers write a huge number for "never", which no calendar can show.
const LONGEST_LIFE: Duration = Duration::from_hours(10 * 365 * 24);

/// What an answer says.
#[derive(Debug)]
pub(super) enum Reading {
    /// Tokens.
    Granted(Granted),
    /// An OAuth error, fit to be shown.
    Said {
        /// `error`.
        error: String,
        /// `error_description`.
        description: Option<String>,
        /// What the provider's own log calls this answer.
        correlation: Option<String>,
    },
}

/// Tokens as the provider gave them.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) access: Secret,
    pub(super) refresh: Option<Secret>,
    pub(super) id: Option<Secret>,
    token_type: String,
    scope: Option<String>,
    life: Option<Duration>,
    /// How long the refresh token lives unless it is used, where the provider tells.
    refresh_life: Option<Duration>,
    /// They, and what was sent for them: the provider may still quote any of it.
    pub(super) secrets: Secrets,
    /// What the answer itself tells of the user, where the configuration says that it does.
    pub(super) claims: Map<String, Value>,
}

/// What holds where the answer is silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fallback<'a> {
    /// What was asked for, or granted before (RFC 6749 sections 5.1 and 6).
    pub(super) scope: &'a str,
    /// How long such a token lived last time, or is configured to live.
    pub(super) life: Duration,
}

/// Reads `answer`. An error is believed whatever the status is: some providers send theirs with 200.
pub(super) fn read(answer: &HttpAnswer) -> Result<Reading, Fault> {
    let is_success = answer.status.is_success();
    let wire: Wire = answer
        .json()
        .or_else(|fault| Wire::of_form(answer).ok_or(fault))
        .map_err(|fault| if is_success { fault } else { answer.bad_status() })?;
    wire.reading(answer)
}

impl Wire {
    /// What stands in a form: so answered providers before RFC 6749 settled on JSON, and some still do.
    fn of_form(answer: &HttpAnswer) -> Option<Self> {
        if !answer.is_one_of(&["application/x-www-form-urlencoded", "text/plain"]) {
            return None;
        }
        let mut wire = Self::default();
        for (name, value) in form_urlencoded::parse(&answer.body) {
            if let Some(member) = wire.member(&name) {
                *member = Loose::Text(Secret::from(value.into_owned()));
            }
        }
        let says_something = matches!((&wire.access_token, &wire.error), (Loose::Text(_), _) | (_, Loose::Text(_)));
        says_something.then_some(wire)
    }

    fn member(&mut self, name: &str) -> Option<&mut Loose> {
        Some(match name {
            "access_token" => &mut self.access_token,
            "refresh_token" => &mut self.refresh_token,
            "id_token" => &mut self.id_token,
            "token_type" => &mut self.token_type,
            "scope" => &mut self.scope,
            "expires_in" => &mut self.expires_in,
            "refresh_expires_in" => &mut self.refresh_expires_in,
            "refresh_token_expires_in" => &mut self.refresh_token_expires_in,
            "error" => &mut self.error,
            "error_description" => &mut self.error_description,
            "correlation_id" => &mut self.correlation_id,
            "trace_id" => &mut self.trace_id,
            _ => return None,
        })
    }

    /// What it says, being in `answer`.
    pub(super) fn reading(self, answer: &HttpAnswer) -> Result<Reading, Fault> {
        let (wire, is_success) = (self, answer.status.is_success());
        if is_success && let Some(access) = wire.access_token.text() {
            let member = |member| Fault::Missing { place: answer.place, member };
            let is_presentable = access.expose().bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
            // Its case means nothing (RFC 6749 section 5.1), but callers write it into a header as they get it.
            let bearer = |it: &Secret| it.expose().trim().eq_ignore_ascii_case("Bearer");
            let token_type = wire.token_type.text().filter(|it| !bearer(it)).unwrap_or_else(|| Secret::from("Bearer"));
            let is_token_type = token_type.expose().bytes().all(|byte| byte.is_ascii_graphic());
            let access = within(ACCESS_LIMIT, "the access token", access)
                .and_then(|access| if is_presentable { Ok(access) } else { Err(member("access_token")) })?;
            let refresh =
                wire.refresh_token.text().map(|it| within(REFRESH_LIMIT, "the refresh token", it)).transpose()?;
            let id = wire.id_token.text().map(|it| within(ID_LIMIT, "the ID token", it)).transpose()?;
            return Ok(Reading::Granted(Granted {
                secrets: answer.secrets.with([&access].into_iter().chain(&refresh).chain(&id)),
                access,
                refresh,
                id,
                token_type: Some(token_type.expose().to_owned())
                    .filter(|it| is_token_type && it.len() <= TOKEN_TYPE_LIMIT)
                    .ok_or_else(|| member("token_type"))?,
                scope: wire.scope.words(),
                life: wire.expires_in.seconds(),
                refresh_life: wire.refresh_expires_in.seconds().or_else(|| wire.refresh_token_expires_in.seconds()),
                claims: Map::new(),
            }));
        }
        let shown = |text: Secret| answer.secrets.show(text.expose());
        match wire.error.text() {
            Some(error) => {
                let in_body = [("correlation_id", wire.correlation_id), ("trace_id", wire.trace_id)];
                let in_body = in_body.into_iter().find_map(|(name, id)| Some(format!("{name} {}", shown(id.text()?))));
                Ok(Reading::Said {
                    error: shown(error),
                    description: wire.error_description.text().map(shown),
                    correlation: in_body.or_else(|| answer.correlation()),
                })
            }
            None if is_success => Err(Fault::Missing { place: answer.place, member: "access_token" }),
            None => Err(answer.bad_status()),
        }
    }
}

impl Granted {
    /// The tokens as they are kept. They expire when the provider says, when the access token itself says if it is a JWT,
    /// or else as `fallback` has it. `now` was read before the request: nothing lives longer for a slow answer.
    pub(super) fn into_tokens(self, fallback: Fallback<'_>, now: UnixSeconds) -> Tokens {
        let said = self.life.and_then(|life| end_of(life, now));
        let expires_at = said.or_else(|| expiry_of_jwt(&self.access, now)).unwrap_or(now + fallback.life);
        let expires_at = expires_at.min(now + LONGEST_LIFE);
        let scope = self.scope.map_or_else(|| fallback.scope.to_owned(), |granted| spaced(granted, fallback.scope));
        let access =
            AccessToken { token: self.access, token_type: self.token_type, scope, obtained_at: now, expires_at };
        Tokens { access, refresh: self.refresh, id: self.id, refresh_life: self.refresh_life }
    }
}

/// When a token ends that lives for `life`. Nothing lives for longer than there is Unix time: that is the time of its end, and
/// tells nothing if it is past.
fn end_of(life: Duration, now: UnixSeconds) -> Option<UnixSeconds> {
    let moment = moment(life);
    if moment > now { Some(moment) } else { (life <= LARGEST_SECONDS).then(|| now + life) }
}

/// A Unix time, in seconds or, where it is too large for that, in milliseconds.
fn moment(written: Duration) -> UnixSeconds {
    let seconds = written.as_secs();
    let seconds = if written > LARGEST_SECONDS { seconds / 1000 } else { seconds };
    i64::try_from(seconds).map_or(UnixSeconds(i64::MAX), UnixSeconds)
}

/// Scopes with spaces between them, as the standard has it, though some providers write commas. One that was `asked` for with a
/// comma in it is left alone.
fn spaced(granted: String, asked: &str) -> String {
    if !granted.contains(',') || asked.contains(',') {
        return granted;
    }
    granted.split([',', ' ']).filter(|scope| !scope.is_empty()).collect::<Vec<_>>().join(" ")
}

fn within(limit: usize, which: &'static str, token: Secret) -> Result<Secret, Fault> {
    let bytes = token.len();
    if bytes <= limit { Ok(token) } else { Err(Fault::TokenTooLarge { which, bytes, limit }) }
}

/// `exp` of an access token that happens to be a JWT. Unverified: it is the provider's own word, come the same way as the rest.
fn expiry_of_jwt(token: &Secret, now: UnixSeconds) -> Option<UnixSeconds> {
    #[derive(Deserialize)]
    struct Payload {
        #[serde(default)]
        exp: Loose,
    }
    let mut parts = token.expose().split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = Zeroizing::new(BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?);
    let payload: Payload = serde_json::from_slice(&payload).ok()?;
    let expiry = moment(payload.exp.seconds()?);
    (expiry > now).then_some(expiry)
}

/// The members that are used. Any of them may be missing, or be something else than it should. Of one that is there twice the
/// last counts, as for most who read JSON: an answer that spent something is not thrown away for that.
#[derive(Default)]
pub(super) struct Wire {
    pub(super) access_token: Loose,
    pub(super) refresh_token: Loose,
    pub(super) id_token: Loose,
    pub(super) token_type: Loose,
    pub(super) scope: Loose,
    pub(super) expires_in: Loose,
    /// The name that Keycloak has for it.
    pub(super) refresh_expires_in: Loose,
    /// The name that GitHub and Entra ID have for it.
    pub(super) refresh_token_expires_in: Loose,
    pub(super) error: Loose,
    pub(super) error_description: Loose,
    pub(super) correlation_id: Loose,
    pub(super) trace_id: Loose,
}

impl<'de> Deserialize<'de> for Wire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Wire;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Wire, A::Error> {
        let mut wire = Wire::default();
        while let Some(name) = members.next_key::<String>()? {
            match wire.member(&name) {
                Some(member) => *member = members.next_value()?,
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(wire)
    }
}

#[cfg(test)]
mod tests;
