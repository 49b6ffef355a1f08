//! Answers as providers really write them.

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use super::*;
use crate::provider::Place;
use crate::provider::scripted::oidc_settings;

const NOW: UnixSeconds = UnixSeconds(1_000_000);

fn answer(status: u16, body: &[u8]) -> HttpAnswer {
    answer_of_type("application/json", status, body)
}

fn answer_of_type(content_type: &str, status: u16, body: &[u8]) -> HttpAnswer {
    let status = StatusCode::from_u16(status).expect("a status");
    let headers = [(CONTENT_TYPE, content_type.parse().expect("a header"))].into_iter().collect();
    let secrets = Secrets::of(&oidc_settings("https://id.example"));
    let mut answer = HttpAnswer::begun(Place::Token, status, &headers, secrets, NOW);
    answer.body = Zeroizing::new(body.to_vec());
    answer
}

fn tokens(body: &Value) -> Tokens {
    let answer = answer(200, body.to_string().as_bytes());
    match read(&answer).expect("an answer") {
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
fn a_scope_that_was_asked_for_with_a_comma_in_it_stays_whole() {
    let answer = answer(200, br#"{"access_token": "at", "scope": "a,b c"}"#);
    let Ok(Reading::Granted(granted)) = read(&answer) else { panic!("no tokens") };
    let fallback = Fallback { scope: "a,b c", life: Duration::from_secs(900) };
    assert_eq!(granted.into_tokens(fallback, NOW).access.scope, "a,b c");
}

#[test]
fn a_life_that_is_longer_than_there_is_time_is_the_time_of_its_end() {
    assert_eq!(life(&json!({"access_token": "at", "expires_in": NOW.0 + 300})), 300);
    assert_eq!(life(&json!({"access_token": "at", "expires_in": NOW.0})), 1_000_000);
}

#[test]
fn milliseconds_are_not_taken_for_seconds() {
    let now = UnixSeconds(1_790_000_000);
    let life = |body: Value| {
        let answer = answer(200, body.to_string().as_bytes());
        let Ok(Reading::Granted(granted)) = read(&answer) else { panic!("{body}") };
        granted.into_tokens(Fallback { scope: "", life: Duration::from_secs(900) }, now).access.life().as_secs()
    };
    for (ends_at, seconds) in [((now.0 + 300) * 1000, 300), (now.0 * 1000, 900), ((now.0 - 60) * 1000, 900)] {
        let jwt = format!("e30.{}.c2ln", BASE64URL_NOPAD.encode(json!({"exp": ends_at}).to_string().as_bytes()));
        assert_eq!(life(json!({"access_token": jwt})), seconds, "{ends_at}");
        assert_eq!(life(json!({"access_token": "at", "expires_in": ends_at})), seconds, "{ends_at}");
    }
}

#[test]
fn a_form_is_read_like_json_where_it_is_one() {
    let form = |status, content_type: &str, body: &str| read(&answer_of_type(content_type, status, body.as_bytes()));
    let body = "access_token=a%2Bt&token_type=bearer&scope=b%2Ca&expires_in=300&refresh_token=rt";
    for content_type in ["application/x-www-form-urlencoded; charset=utf-8", "text/plain"] {
        let Ok(Reading::Granted(granted)) = form(200, content_type, body) else { panic!("{content_type}") };
        let tokens = granted.into_tokens(Fallback { scope: "", life: Duration::from_secs(900) }, NOW);
        assert_eq!((tokens.access.token.expose(), tokens.access.scope.as_str()), ("a+t", "b a"));
        assert_eq!((tokens.access.life().as_secs(), tokens.refresh), (300, Some(Secret::from("rt"))));
    }
    let said = form(200, "application/x-www-form-urlencoded", "error=bad_refresh_token&error_description=It+is+old");
    let Ok(Reading::Said { error, description, .. }) = said else { panic!("{said:?}") };
    assert_eq!((error.as_str(), description.as_deref()), ("bad_refresh_token", Some("It is old")));
    for (content_type, body) in [("text/html", body), ("text/plain", "upstream is down"), ("text/plain", "")] {
        assert!(form(200, content_type, body).is_err(), "{content_type} {body}");
    }
}

#[test]
fn a_jwt_tells_its_own_life_when_the_answer_does_not() {
    let jwt = |exp: Value| format!("e30.{}.c2ln", BASE64URL_NOPAD.encode(json!({"exp": exp}).to_string().as_bytes()));
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
        (json!("b,a"), "b a"),
        (json!("b, a,,c"), "b a c"),
    ] {
        assert_eq!(tokens(&json!({"access_token": "at", "scope": written})).access.scope, kept, "{written}");
    }
}

#[test]
fn token_types_are_kept_as_spelled_but_bearer_is_always_spelled_the_same() {
    for (written, kept) in
        [("bearer", "Bearer"), ("BEARER", "Bearer"), ("Bearer ", "Bearer"), ("DPoP", "DPoP"), ("mac", "mac")]
    {
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
        let Ok(Reading::Granted(granted)) = read(&answer(200, body.as_bytes())) else { panic!("{body}") };
        let tokens = granted.into_tokens(Fallback { scope: "", life: Duration::from_secs(900) }, NOW);
        assert_eq!((tokens.access.token.expose(), tokens.access.life().as_secs()), ("at", seconds), "{body}");
    }
}

#[test]
fn lists_within_lists_are_not_followed_however_deep_they_go() {
    let deep = format!(r#"{{"access_token": "at", "scope": {}{}}}"#, "[".repeat(60_000), "]".repeat(60_000));
    let wide = format!(r#"{{"access_token": "at", "scope": [{}0]}}"#, "[],".repeat(60_000));
    for body in [deep, wide] {
        assert!(matches!(read(&answer(200, body.as_bytes())), Ok(Reading::Granted(_))));
    }
}

#[test]
fn tokens_that_are_too_large_are_refused_with_their_size() {
    for (member, limit) in [("access_token", 16_384), ("refresh_token", 16_384), ("id_token", 32_768)] {
        let mut body = json!({"access_token": "at"});
        body[member] = "x".repeat(limit).into();
        assert!(read(&answer(200, body.to_string().as_bytes())).is_ok(), "{member}");
        body[member] = "x".repeat(limit + 1).into();
        let fault = read(&answer(200, body.to_string().as_bytes())).expect_err("a fault");
        assert!(fault.to_string().contains(&format!("of {} bytes is too large", limit + 1)), "{fault}");
    }
}

#[test]
fn a_token_that_would_break_a_header_line_is_refused() {
    for token in ["a\r\nb", "a\u{0}", "ä"] {
        let body = json!({"access_token": token}).to_string();
        let fault = read(&answer(200, body.as_bytes())).expect_err("a fault");
        assert_eq!(fault, Fault::Missing { place: Place::Token, member: "access_token" });
    }
    let body = json!({"access_token": "at", "token_type": "a\nb"}).to_string();
    assert!(read(&answer(200, body.as_bytes())).is_err());
}

#[test]
fn errors_are_read_with_any_status_and_without_what_was_sent() {
    let body = json!({"error": "invalid_grant", "error_description": "no token rt-0123456789"}).to_string();
    for status in [200, 400, 401, 403, 500] {
        let mut answer = answer(status, body.as_bytes());
        answer.secrets = answer.secrets.with([&Secret::from("rt-0123456789")]);
        let reading = read(&answer);
        let Ok(Reading::Said { error, description, .. }) = reading else { panic!("{reading:?}") };
        assert_eq!((error.as_str(), description.as_deref()), ("invalid_grant", Some("no token [redacted]")));
    }
}

#[test]
fn a_byte_order_mark_and_another_character_set_hide_no_error() {
    let body = b"\xef\xbb\xbf{\"error\": \"invalid_grant\", \"error_description\": \"ung\xfcltig\"}";
    let Ok(Reading::Said { error, description, .. }) = read(&answer(400, body)) else { panic!("no error") };
    assert_eq!((error.as_str(), description.as_deref()), ("invalid_grant", Some("ung\u{fffd}ltig")));
}

#[test]
fn broken_bodies_are_faults_of_their_own() {
    let fault = |status, body: &str| read(&answer(status, body.as_bytes())).expect_err("a fault");
    assert_eq!(fault(200, "{\"access_token\":\"a"), Fault::NotJson { place: Place::Token });
    assert_eq!(fault(200, ""), Fault::Empty { place: Place::Token });
    assert_eq!(fault(200, "{}"), Fault::Missing { place: Place::Token, member: "access_token" });
    assert_eq!(fault(400, "<html>"), Fault::Status { place: Place::Token, status: 400 });
    assert_eq!(fault(400, "{\"error\":{\"message\":1}}"), Fault::Status { place: Place::Token, status: 400 });
    assert_eq!(fault(429, ""), Fault::Busy { place: Place::Token, status: 429, retry_after: None });
    assert_eq!(fault(404, "<html>"), Fault::NotThere { place: Place::Token, status: 404 });
    assert_eq!(fault(302, ""), Fault::Redirect { place: Place::Token, status: 302 });
}
