//! The real provider and its faults do what they say.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::RealProvider;
use crate::support::browser::Browser;
use crate::support::config::CLIENT_SECRET;
use crate::support::http::{self, basic};

const VERIFIER: &str = "a-verifier-of-more-than-43-characters-0123456789";
const CALLBACK: &str = "http://127.0.0.1:9/callback";

fn log_in(provider: &RealProvider, user: &str) -> Value {
    let challenge = data_encoding::BASE64URL_NOPAD.encode(&Sha256::digest(VERIFIER));
    let url = format!(
        "{}/auth?client_id=shop&response_type=code&scope=openid+profile+email&redirect_uri={CALLBACK}&state=s&nonce=n\
         &code_challenge={challenge}&code_challenge_method=S256",
        provider.issuer
    );
    let back = Browser::default().log_in_until(&url, user, CALLBACK);
    let code = http::parse(&back).query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    post(provider, "/token", &form).unwrap().json()
}

fn refresh(provider: &RealProvider, token: &Value) -> std::io::Result<http::Answer> {
    post(provider, "/token", &[("grant_type", "refresh_token"), ("refresh_token", token.as_str().unwrap())])
}

fn post(provider: &RealProvider, path: &str, form: &[(&str, &str)]) -> std::io::Result<http::Answer> {
    let authorization = basic("shop", CLIENT_SECRET);
    http::post_form(&format!("{}{path}", provider.issuer), &[("Authorization", &authorization)], form)
}

#[test]
fn a_login_gives_tokens_that_userinfo_and_introspection_know_until_they_are_revoked() {
    let provider = RealProvider::start(60, &[]);
    let tokens = log_in(&provider, "alice");
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(provider.userinfo(access).unwrap()["preferred_username"], "alice");
    assert!(provider.is_active(access));
    assert_eq!(
        post(&provider, "/token/revocation", &[("token", tokens["refresh_token"].as_str().unwrap())]).unwrap().status,
        200
    );
    assert!(!provider.is_active(access));
    assert_eq!(provider.userinfo(access), None);
}

#[test]
fn a_lost_answer_costs_the_session_only_where_refresh_tokens_rotate() {
    for (options, survives) in [(&[][..], true), (&["--rotate"][..], false)] {
        let provider = RealProvider::start(60, options);
        let token = log_in(&provider, "alice")["refresh_token"].clone();
        provider.fault(&json!({ "on": "refresh_token", "do": "drop_before" }));
        provider.fault(&json!({ "on": "refresh_token", "do": "drop_after" }));
        assert!(refresh(&provider, &token).is_err());
        assert!(refresh(&provider, &token).is_err());
        assert_eq!(refresh(&provider, &token).unwrap().status == 200, survives, "{options:?}");
        assert_eq!(provider.count("refresh_token"), 3);
    }
}

#[test]
fn a_request_is_held_until_it_is_released_and_an_answer_can_be_made_up() {
    let provider = RealProvider::start(60, &[]);
    let token = log_in(&provider, "alice")["refresh_token"].clone();
    provider.fault(&json!({ "on": "refresh_token", "do": "hold" }));
    provider
        .fault(&json!({ "on": "refresh_token", "do": "answer", "status": 504, "body": "<h1>Gateway Timeout</h1>" }));
    std::thread::scope(|scope| {
        let held = scope.spawn(|| refresh(&provider, &token).unwrap().status);
        provider.wait_until_held();
        assert_eq!(refresh(&provider, &token).unwrap().status, 504);
        provider.release();
        assert_eq!(held.join().unwrap(), 200);
    });
}
