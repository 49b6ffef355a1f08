//! Logins against a scripted provider.

use serde_json::{Value, json};
use tokenkeeper_protocol::{Secret, UnixSeconds};

use super::*;
use crate::config::settings::ClientAuthentication;
use crate::provider::scripted::{NOW, Reply, Server, Signer, begin, callback};

/// Scripts a token answer with an ID token for `flow` that has `changes`.
fn grant(server: &Server, flow: &Flow, changes: &[(&str, Value)]) {
    let mut claims = vec![("nonce", json!(flow.nonce.expose()))];
    claims.extend_from_slice(changes);
    let id = server.id_token(&claims);
    server.script(
        "/token",
        Reply::json(
            200,
            &json!({
                "access_token": "at-0123456789", "token_type": "bearer", "expires_in": 300,
                "refresh_token": "rt-0123456789", "id_token": id.expose(),
            }),
        ),
    );
}

#[tokio::test]
async fn a_code_becomes_tokens_and_a_user_with_one_post() {
    let server = Server::oidc().await;
    let provider = server.provider();
    let flow = begin(&provider);
    grant(&server, &flow, &[("acr", json!("mfa")), ("auth_time", json!(NOW.0))]);
    let grant = provider.exchange(&flow, &callback(&flow), NOW).await.expect("a grant");
    assert_eq!(grant.user.name.as_str(), "alice");
    assert_eq!((grant.user.subject.as_str(), grant.user.issuer.as_str()), ("u-1", server.url()));
    assert_eq!(grant.user.email.as_deref(), Some("alice@corp.example"));
    assert_eq!(grant.authentication.acr.as_deref(), Some("mfa"));
    assert_eq!(grant.tokens.access.expires_at, UnixSeconds(NOW.0 + 300));
    assert_eq!(grant.tokens.access.scope, "openid profile");
    assert_eq!(grant.tokens.access.token_type, "Bearer");
    assert_eq!(grant.tokens.refresh, Some(Secret::from("rt-0123456789")));
    assert!(grant.tokens.id.is_some());
    assert_eq!(provider.health().last_success_at, Some(NOW));

    let posts = server.requests("/token");
    assert_eq!((posts.len(), server.count("/userinfo")), (1, 0));
    assert_eq!(posts[0].field("grant_type").as_deref(), Some("authorization_code"));
    assert_eq!(posts[0].field("code").as_deref(), Some("c0de-0123456789"));
    assert_eq!(posts[0].field("redirect_uri").as_deref(), Some("https://shop.example/cb"));
    assert_eq!(posts[0].field("code_verifier").as_deref(), Some(flow.verifier.expose()));
    let head = posts[0].head.to_ascii_lowercase();
    assert!(head.contains("authorization: basic") && head.contains("user-agent: tokenkeeper/"), "{head}");
    assert!(head.contains("accept-encoding: identity") && head.contains("accept: application/json"), "{head}");
}

#[tokio::test]
async fn a_public_client_sends_its_id_and_no_secret() {
    let server = Server::oidc().await;
    let provider = server.provider_with(|settings| settings.client_authentication = ClientAuthentication::None);
    let flow = begin(&provider);
    grant(&server, &flow, &[]);
    provider.exchange(&flow, &callback(&flow), NOW).await.expect("a grant");
    let posts = server.requests("/token");
    assert_eq!(posts[0].field("client_id").as_deref(), Some("shop"));
    assert!(!posts[0].head.to_ascii_lowercase().contains("authorization"));
    assert!(!posts[0].body.contains("s3cr3t"));
}

#[tokio::test]
async fn a_callback_that_is_not_for_this_login_sends_no_code() {
    let server = Server::oidc().await;
    server.discover("authorization_response_iss_parameter_supported", json!(true));
    let provider = server.provider();
    let flow = begin(&provider);
    let expected = server.url().to_owned();
    let good = Callback { iss: Some(expected.clone()), ..callback(&flow) };
    for (callback, fault) in [
        (Callback { state: Some(Secret::from("foreign")), ..good.clone() }, LoginFault::WrongState),
        (
            Callback { iss: Some("https://evil.example".to_owned()), ..good.clone() },
            LoginFault::WrongIssuer { expected: expected.clone(), found: Some("https://evil.example".to_owned()) },
        ),
        (Callback { iss: None, ..good.clone() }, LoginFault::WrongIssuer { expected, found: None }),
        (
            Callback {
                answer: Answer::Error { error: "access_denied".to_owned(), description: Some("no".to_owned()) },
                ..good.clone()
            },
            LoginFault::ProviderSaid { error: "access_denied".to_owned(), description: Some("no".to_owned()) },
        ),
    ] {
        assert_eq!(provider.exchange(&flow, &callback, NOW).await.map(|_| ()), Err(fault));
    }
    assert_eq!(server.count("/token"), 0);
    grant(&server, &flow, &[]);
    assert!(provider.exchange(&flow, &good, NOW).await.is_ok());
}

#[tokio::test]
async fn an_issuer_in_the_callback_counts_even_where_none_was_announced() {
    let server = Server::oidc().await;
    let provider = server.provider();
    let flow = begin(&provider);
    let foreign = Callback { iss: Some("https://evil.example".to_owned()), ..callback(&flow) };
    let fault = provider.exchange(&flow, &foreign, NOW).await.expect_err("a fault");
    assert!(
        fault.to_string().contains("from https://evil.example (iss), but the login began at http://127.0.0.1"),
        "{fault}"
    );
}

#[tokio::test]
async fn an_id_token_that_is_not_for_this_login_is_refused_in_plain_words() {
    for (changes, words) in [
        (("nonce", json!("other")), "belongs to another login (nonce)"),
        (("iss", json!("https://evil.example")), "of another issuer"),
        (("aud", json!("other")), "meant for another client (aud)"),
        (("exp", json!(NOW.0 - 60)), "expired"),
        (("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")), "another access token (at_hash)"),
    ] {
        let server = Server::oidc().await;
        let provider = server.provider();
        let flow = begin(&provider);
        grant(&server, &flow, &[changes]);
        let fault = provider.exchange(&flow, &callback(&flow), NOW).await.expect_err("a fault");
        assert!(matches!(&fault, LoginFault::IdToken(said) if said.contains(words)), "{fault}");
        assert_eq!(server.count("/token"), 1);
    }
}

#[tokio::test]
async fn forged_id_tokens_are_refused() {
    for (signer, words) in [
        (Signer::ed25519("k1"), "the signature of the ID token is wrong"),
        (Signer::ed25519("k2"), "a key that the provider does not publish"),
        (Signer::hmac("s3cr3t"), "signed with HS256, which is not accepted"),
        (Signer::None, "not signed (alg none)"),
    ] {
        let mut server = Server::oidc().await;
        let provider = server.provider();
        let flow = begin(&provider);
        server.signer = signer;
        grant(&server, &flow, &[]);
        let fault = provider.exchange(&flow, &callback(&flow), NOW).await.expect_err("a fault");
        assert!(matches!(&fault, LoginFault::IdToken(said) if said.contains(words)), "{fault}");
    }
}

#[tokio::test]
async fn a_new_signing_key_is_fetched_at_once_and_the_next_one_not_for_a_minute() {
    let mut server = Server::oidc().await;
    let provider = server.provider();
    let flow = begin(&provider);
    let login = async |server: &Server, at: i64| {
        grant(server, &flow, &[]);
        provider.exchange(&flow, &callback(&flow), UnixSeconds(NOW.0 + at)).await
    };
    assert!(login(&server, 0).await.is_ok());
    server.signer = Signer::ed25519("k2");
    server.publish(&server.signer);
    assert!(login(&server, 1).await.is_ok());
    assert_eq!(server.count("/jwks"), 2);
    server.signer = Signer::ed25519("k3");
    server.publish(&server.signer);
    assert!(login(&server, 60).await.is_err());
    assert_eq!(server.count("/jwks"), 2);
    assert!(login(&server, 61).await.is_ok());
    assert_eq!(server.count("/jwks"), 3);
}

#[tokio::test]
async fn without_an_id_token_nobody_is_logged_in() {
    let server = Server::oidc().await;
    server.script("/token", Reply::json(200, &json!({"access_token": "at", "token_type": "Bearer"})));
    let provider = server.provider();
    let flow = begin(&provider);
    assert_eq!(provider.exchange(&flow, &callback(&flow), NOW).await.map(|_| ()), Err(LoginFault::NoIdToken));
}

#[tokio::test]
async fn what_the_id_token_does_not_tell_is_asked_of_the_userinfo_endpoint() {
    let server = Server::oidc().await;
    let provider = server.provider();
    let flow = begin(&provider);
    grant(&server, &flow, &[("preferred_username", json!(null)), ("email", json!(null))]);
    let profile = json!({"sub": "u-1", "preferred_username": "alice", "email": "a@corp.example"});
    server.script("/userinfo", Reply::json(200, &profile));
    let user = provider.exchange(&flow, &callback(&flow), NOW).await.expect("a grant").user;
    assert_eq!((user.name.as_str(), user.email.as_deref()), ("alice", Some("a@corp.example")));
    let asked = server.requests("/userinfo");
    assert!(asked[0].head.contains("authorization: Bearer at-0123456789"), "{}", asked[0].head);
}

#[tokio::test]
async fn userinfo_about_another_user_is_refused() {
    let server = Server::oidc().await;
    let provider = server.provider();
    let flow = begin(&provider);
    grant(&server, &flow, &[("email", json!(null))]);
    server.script("/userinfo", Reply::json(200, &json!({"sub": "u-2", "email": "mallory@corp.example"})));
    let fault = provider.exchange(&flow, &callback(&flow), NOW).await.expect_err("a fault");
    assert_eq!(fault, LoginFault::Unidentified(Fault::AnotherUser));
}

#[tokio::test]
async fn a_login_can_do_without_an_address_but_not_with_a_name_by_chance() {
    let server = Server::oidc().await;
    let provider = server.provider();
    let flow = begin(&provider);
    server.script("/userinfo", Reply::text(503, "text/plain", ""));
    grant(&server, &flow, &[("email", json!(null))]);
    assert!(provider.exchange(&flow, &callback(&flow), NOW).await.is_ok());
    grant(&server, &flow, &[("preferred_username", json!(null))]);
    let fault = provider.exchange(&flow, &callback(&flow), NOW).await.expect_err("a fault");
    assert_eq!(
        fault.to_string(),
        "it could not be found out who logged in: the userinfo endpoint answered HTTP 503 without saying why"
    );
    assert_eq!(
        provider.health().failure,
        Some((NOW, "the userinfo endpoint answered HTTP 503 without saying why".into()))
    );
    // The provider knows no such name: then it is the same every time.
    server.script("/userinfo", Reply::json(200, &json!({"sub": "u-1"})));
    let user = provider.exchange(&flow, &callback(&flow), NOW).await.expect("a grant").user;
    assert_eq!(user.name.as_str(), "u-1");
}

#[tokio::test]
async fn a_provider_without_discovery_tells_who_came_at_its_userinfo_endpoint() {
    let server = Server::oauth2().await;
    let provider = server.provider();
    let flow = begin(&provider);
    server.script("/token", Reply::json(200, &json!({"access_token": "at", "scope": "profile"})));
    server.script("/userinfo", Reply::json(200, &json!({"id": 583_231, "preferred_username": "octocat"})));
    let grant = provider.exchange(&flow, &callback(&flow), NOW).await.expect("a grant");
    assert_eq!((grant.user.subject.as_str(), grant.user.name.as_str()), ("583231", "octocat"));
    assert_eq!(grant.user.issuer, server.url());
    assert_eq!(grant.tokens.access.life().as_secs(), 900);
    server.script("/userinfo", Reply::json(200, &json!({"preferred_username": "octocat"})));
    assert_eq!(provider.exchange(&flow, &callback(&flow), NOW).await.map(|_| ()), Err(LoginFault::NoSubject));
}

#[tokio::test]
async fn refusals_of_the_provider_say_whose_turn_it_is() {
    let server = Server::oauth2().await;
    let provider = server.provider();
    let flow = begin(&provider);
    let quoted = json!({"error": "invalid_grant", "error_description": "code c0de-0123456789 of s3cr3t is used"});
    for (reply, words) in [
        (
            Reply::json(400, &quoted),
            "the provider refused the login: invalid_grant (code [redacted] of [redacted] is used)",
        ),
        (Reply::json(200, &json!({"error": "bad_verification_code"})), "refused the login: bad_verification_code"),
        (
            Reply::json(401, &json!({"error": "invalid_client"})),
            "does not accept this client: invalid_client; check client_id, client_secret and",
        ),
        (
            Reply::json(503, &json!({"error": "temporarily_unavailable"})),
            "the token endpoint answered temporarily_unavailable",
        ),
        (Reply::text(500, "text/html", "<html>"), "the token endpoint answered HTTP 500"),
        (
            Reply::json(200, &json!({"access_token": "x".repeat(16_385)})),
            "the access token of 16385 bytes is too large",
        ),
    ] {
        server.script("/token", reply);
        let fault = provider.exchange(&flow, &callback(&flow), NOW).await.expect_err("a fault").to_string();
        assert!(fault.contains(words), "{fault}");
    }
    assert_eq!(server.count("/token"), 6);
}

#[tokio::test]
async fn a_code_is_posted_once_whatever_happens_to_the_connection() {
    for reply in [Reply::HangUpAfter, Reply::Cut(200, "{}".to_owned()), Reply::Endless, Reply::redirect("/token2")] {
        let server = Server::oauth2().await;
        let provider = server.provider();
        let flow = begin(&provider);
        server.script("/token", reply);
        let fault = provider.exchange(&flow, &callback(&flow), NOW).await.expect_err("a fault");
        assert!(matches!(fault, LoginFault::Fault(_)), "{fault}");
        assert_eq!((server.count("/token"), server.count("/token2")), (1, 0));
    }
}

#[tokio::test]
async fn the_tokens_of_a_login_whose_user_stays_unknown_are_revoked() {
    let server = Server::oidc().await;
    let provider = server.provider();
    let flow = begin(&provider);
    server.script("/revoke", Reply::text(200, "text/plain", ""));
    server.script("/userinfo", Reply::text(200, "application/jwt", "a.b.c"));
    for changes in [("preferred_username", json!(null)), ("nonce", json!("other"))] {
        let before = server.count("/revoke");
        grant(&server, &flow, &[changes]);
        provider.exchange(&flow, &callback(&flow), NOW).await.expect_err("a fault");
        let revoked: Vec<_> =
            server.requests("/revoke").iter().skip(before).filter_map(|it| it.field("token")).collect();
        assert_eq!(revoked, ["rt-0123456789", "at-0123456789"]);
    }
}

#[tokio::test]
async fn a_callback_that_only_an_administrator_can_mend_says_so() {
    let server = Server::oidc().await;
    let provider = server.provider();
    let flow = begin(&provider);
    for (error, words) in [
        ("invalid_scope", "invalid_scope (no); check scopes; asked for were \"openid profile\"; ask an administrator"),
        ("invalid_request", "does not accept this client: invalid_request (no); ask an administrator"),
        ("unauthorized_client", "does not accept this client: unauthorized_client (no)"),
    ] {
        let answer = Answer::Error { error: error.to_owned(), description: Some("no".to_owned()) };
        let fault = provider.exchange(&flow, &Callback { answer, ..callback(&flow) }, NOW).await.expect_err("a fault");
        assert!(matches!(fault, LoginFault::Configuration(_)) && fault.to_string().contains(words), "{fault}");
    }
}
