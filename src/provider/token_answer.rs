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
use zeroize::Zeroizing;

use super::Fault;
use super::answer::HttpAnswer;
use super::loose::Loose;
use super::words::harmless;
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
    pub(super) refresh_life: Option<Duration>,
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
/// `sent` are the secrets of the request, struck out where the provider quotes them.
pub(super) fn read(answer: &HttpAnswer, sent: &[&Secret]) -> Result<Reading, Fault> {
    let is_success = answer.status.is_success();
    let wire: Wire = answer.json().map_err(|fault| if is_success { fault } else { answer.bad_status() })?;
    wire.reading(answer, sent)
}

impl Wire {
    /// What it says, being in `answer`; the rest as for [`read`].
    pub(super) fn reading(self, answer: &HttpAnswer, sent: &[&Secret]) -> Result<Reading, Fault> {
        let (wire, is_success) = (self, answer.status.is_success());
        if is_success && let Some(access) = wire.access_token.text() {
            let member = |member| Fault::Missing { place: answer.place, member };
            let is_presentable = access.expose().bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
            // Its case means nothing (RFC 6749 section 5.1), but callers write it into a header as they get it.
            let bearer = |it: &Secret| it.expose().eq_ignore_ascii_case("Bearer");
            let token_type = wire.token_type.text().filter(|it| !bearer(it)).unwrap_or_else(|| Secret::from("Bearer"));
            let is_token_type = token_type.expose().bytes().all(|byte| byte.is_ascii_graphic());
            return Ok(Reading::Granted(Granted {
                access: within(ACCESS_LIMIT, "the access token", access)
                    .and_then(|access| if is_presentable { Ok(access) } else { Err(member("access_token")) })?,
                refresh: wire
                    .refresh_token
                    .text()
                    .map(|it| within(REFRESH_LIMIT, "the refresh token", it))
                    .transpose()?,
                id: wire.id_token.text().map(|it| within(ID_LIMIT, "the ID token", it)).transpose()?,
                token_type: Some(token_type.expose().to_owned())
                    .filter(|it| is_token_type && it.len() <= TOKEN_TYPE_LIMIT)
                    .ok_or_else(|| member("token_type"))?,
                scope: wire.scope.words(),
                life: wire.expires_in.seconds(),
                refresh_life: wire.refresh_expires_in.seconds().or_else(|| wire.refresh_token_expires_in.seconds()),
                claims: Map::new(),
            }));
        }
        let shown = |text: Secret| harmless(text.expose(), sent);
        match wire.error.text() {
            Some(error) => {
                let in_body = [("correlation_id", wire.correlation_id), ("trace_id", wire.trace_id)];
                let in_body = in_body.into_iter().find_map(|(name, id)| Some(format!("{name} {}", shown(id.text()?))));
                Ok(Reading::Said {
                    error: shown(error),
                    description: wire.error_description.text().map(shown),
                    correlation: in_body.or_else(|| answer.correlation.as_deref().map(|it| harmless(it, sent))),
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
        let said = self.life.map(|life| now + life);
        let expires_at = said.or_else(|| expiry_of_jwt(&self.access, now)).unwrap_or(now + fallback.life);
        let expires_at = expires_at.min(now + LONGEST_LIFE);
        let scope = self.scope.unwrap_or_else(|| fallback.scope.to_owned());
        let access =
            AccessToken { token: self.access, token_type: self.token_type, scope, obtained_at: now, expires_at };
        Tokens { access, refresh: self.refresh, id: self.id }
    }
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
    let expiry = UnixSeconds(i64::try_from(payload.exp.seconds()?.as_secs()).ok()?);
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
            let member = match name.as_str() {
                "access_token" => &mut wire.access_token,
                "refresh_token" => &mut wire.refresh_token,
                "id_token" => &mut wire.id_token,
                "token_type" => &mut wire.token_type,
                "scope" => &mut wire.scope,
                "expires_in" => &mut wire.expires_in,
                "refresh_expires_in" => &mut wire.refresh_expires_in,
                "refresh_token_expires_in" => &mut wire.refresh_token_expires_in,
                "error" => &mut wire.error,
                "error_description" => &mut wire.error_description,
                "correlation_id" => &mut wire.correlation_id,
                "trace_id" => &mut wire.trace_id,
                _ => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *member = members.next_value()?;
        }
        Ok(wire)
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::provider::Place;

    const NOW: UnixSeconds = UnixSeconds(1_000_000);

    fn answer(status: u16, body: &[u8]) -> HttpAnswer {
        HttpAnswer {
            place: Place::Token,
            status: StatusCode::from_u16(status).expect("a status"),
            content_type: Some("application/json".to_owned()),
            retry_after: None,
            date: None,
            correlation: None,
            body: Zeroizing::new(body.to_vec()),
        }
    }

    fn tokens(body: &Value) -> Tokens {
        let answer = answer(200, body.to_string().as_bytes());
        match read(&answer, &[]).expect("an answer") {
            Reading::Granted(granted) => {
                granted.into_tokens(Fallback { scope: "before", life: Duration::from_secs(900) }, NOW)
            }
            Reading::Said { error, .. } => panic!("{error}"),
        }
    }

    fn life(body: &Value) -> u64 {
        tokens(body).access.life().as_secs()
    }

    #[test]
    fn lives_are_understood_however_they_are_written() {
        for (written, seconds) in [
            (json!(300), 300),
            (json!(300.9), 300),
            (json!("300"), 300),
            (json!(" 300 "), 300),
            (json!(-1), 900),
            (json!(0), 900),
            (json!("soon"), 900),
            (json!(null), 900),
            (json!({}), 900),
            (json!(1e300), 900),
            (json!("nan"), 900),
            (json!([300]), 900),
            (json!(1e18), 315_360_000),
        ] {
            assert_eq!(life(&json!({"access_token": "at", "expires_in": written})), seconds, "{written}");
        }
        assert_eq!(life(&json!({"access_token": "at"})), 900);
    }

    #[test]
    fn a_jwt_tells_its_own_life_when_the_answer_does_not() {
        let jwt =
            |exp: Value| format!("e30.{}.c2ln", BASE64URL_NOPAD.encode(json!({"exp": exp}).to_string().as_bytes()));
        assert_eq!(life(&json!({"access_token": jwt(json!(1_000_042))})), 42);
        assert_eq!(life(&json!({"access_token": jwt(json!(1_000_042)), "expires_in": 10})), 10);
        assert_eq!(life(&json!({"access_token": jwt(json!(999_999))})), 900);
        assert_eq!(life(&json!({"access_token": jwt(json!(null))})), 900);
    }

    #[test]
    fn scopes_are_kept_as_given_or_taken_from_before() {
        for (written, kept) in [
            (json!("b  a"), "b a"),
            (json!(["b", "a"]), "b a"),
            (json!(null), "before"),
            (json!(""), "before"),
            (json!([]), "before"),
            (json!(7), "before"),
            (json!("a".repeat(5000)), "before"),
            (json!([["b"], {"c": 1}, 7, "a"]), "a"),
        ] {
            assert_eq!(tokens(&json!({"access_token": "at", "scope": written})).access.scope, kept, "{written}");
        }
    }

    #[test]
    fn token_types_are_kept_as_spelled_but_bearer_is_always_spelled_the_same() {
        for (written, kept) in [("bearer", "Bearer"), ("BEARER", "Bearer"), ("DPoP", "DPoP"), ("mac", "mac")] {
            assert_eq!(tokens(&json!({"access_token": "at", "token_type": written})).access.token_type, kept);
        }
        assert_eq!(tokens(&json!({"access_token": "at"})).access.token_type, "Bearer");
    }

    #[test]
    fn missing_and_empty_tokens_are_none_and_unknown_members_do_not_matter() {
        let body = json!({"access_token": "at", "refresh_token": "", "id_token": null, "x": {"y": [1]}});
        let tokens = tokens(&body);
        assert_eq!((tokens.refresh, tokens.id), (None, None));
    }

    #[test]
    fn numbers_that_no_machine_can_hold_and_members_that_come_twice_cost_no_token() {
        for (body, seconds) in [
            (r#"{"access_token": "at", "expires_in": 1e999, "not_before_policy": -1e999}"#, 900),
            (r#"{"expires_in": 5, "access_token": "old", "expires_in": 60, "access_token": "at"}"#, 60),
        ] {
            let Ok(Reading::Granted(granted)) = read(&answer(200, body.as_bytes()), &[]) else { panic!("{body}") };
            let tokens = granted.into_tokens(Fallback { scope: "", life: Duration::from_secs(900) }, NOW);
            assert_eq!((tokens.access.token.expose(), tokens.access.life().as_secs()), ("at", seconds), "{body}");
        }
    }

    #[test]
    fn lists_within_lists_are_not_followed_however_deep_they_go() {
        let deep = format!(r#"{{"access_token": "at", "scope": {}{}}}"#, "[".repeat(60_000), "]".repeat(60_000));
        let wide = format!(r#"{{"access_token": "at", "scope": [{}0]}}"#, "[],".repeat(60_000));
        for body in [deep, wide] {
            assert!(matches!(read(&answer(200, body.as_bytes()), &[]), Ok(Reading::Granted(_))));
        }
    }

    #[test]
    fn tokens_that_are_too_large_are_refused_with_their_size() {
        for (member, limit) in [("access_token", 16_384), ("refresh_token", 16_384), ("id_token", 32_768)] {
            let mut body = json!({"access_token": "at"});
            body[member] = "x".repeat(limit).into();
            assert!(read(&answer(200, body.to_string().as_bytes()), &[]).is_ok(), "{member}");
            body[member] = "x".repeat(limit + 1).into();
            let fault = read(&answer(200, body.to_string().as_bytes()), &[]).expect_err("a fault");
            assert!(fault.to_string().contains(&format!("of {} bytes is too large", limit + 1)), "{fault}");
        }
    }

    #[test]
    fn a_token_that_would_break_a_header_line_is_refused() {
        for token in ["a\r\nb", "a\u{0}", "ä"] {
            let body = json!({"access_token": token}).to_string();
            let fault = read(&answer(200, body.as_bytes()), &[]).expect_err("a fault");
            assert_eq!(fault, Fault::Missing { place: Place::Token, member: "access_token" });
        }
        let body = json!({"access_token": "at", "token_type": "a\nb"}).to_string();
        assert!(read(&answer(200, body.as_bytes()), &[]).is_err());
    }

    #[test]
    fn errors_are_read_with_any_status_and_without_what_was_sent() {
        let body = json!({"error": "invalid_grant", "error_description": "no token rt-0123456789"}).to_string();
        for status in [200, 400, 401, 403, 500] {
            let reading = read(&answer(status, body.as_bytes()), &[&Secret::from("rt-0123456789")]);
            let Ok(Reading::Said { error, description, .. }) = reading else { panic!("{reading:?}") };
            assert_eq!((error.as_str(), description.as_deref()), ("invalid_grant", Some("no token [redacted]")));
        }
    }

    #[test]
    fn a_byte_order_mark_and_another_character_set_hide_no_error() {
        let body = b"\xef\xbb\xbf{\"error\": \"invalid_grant\", \"error_description\": \"ung\xfcltig\"}";
        let Ok(Reading::Said { error, description, .. }) = read(&answer(400, body), &[]) else { panic!("no error") };
        assert_eq!((error.as_str(), description.as_deref()), ("invalid_grant", Some("ung\u{fffd}ltig")));
    }

    #[test]
    fn broken_bodies_are_faults_of_their_own() {
        let fault = |status, body: &str| read(&answer(status, body.as_bytes()), &[]).expect_err("a fault");
        assert_eq!(fault(200, "{\"access_token\":\"a"), Fault::NotJson { place: Place::Token });
        assert_eq!(fault(200, ""), Fault::Empty { place: Place::Token });
        assert_eq!(fault(200, "{}"), Fault::Missing { place: Place::Token, member: "access_token" });
        assert_eq!(fault(400, "<html>"), Fault::Status { place: Place::Token, status: 400 });
        assert_eq!(fault(400, "{\"error\":{\"message\":1}}"), Fault::Status { place: Place::Token, status: 400 });
        assert_eq!(fault(429, ""), Fault::Busy { place: Place::Token, status: 429, retry_after: None });
        assert_eq!(fault(404, "<html>"), Fault::NotThere { place: Place::Token, status: 404 });
        assert_eq!(fault(302, ""), Fault::Redirect { place: Place::Token, status: 302 });
    }
}
