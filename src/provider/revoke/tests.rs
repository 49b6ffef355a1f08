//! Revocations against a scripted provider.

use serde_json::json;

use super::*;
use crate::config::ProviderKind;
use crate::provider::scripted::{NOW, Reply, Server, session};

fn tokens() -> Tokens {
    session("https://id.example").tokens.expect("tokens")
}

async fn outcome_of(reply: Reply) -> RevokeOutcome {
    let server = Server::oauth2().await;
    server.script("/revoke", reply);
    server.provider().revoke(&tokens(), NOW).await
}

#[tokio::test]
async fn the_refresh_token_goes_first_and_then_the_access_token() {
    let server = Server::oidc().await;
    server.script("/revoke", Reply::text(200, "text/plain", ""));
    assert_eq!(server.provider().revoke(&tokens(), NOW).await, RevokeOutcome::Done);
    let posts = server.requests("/revoke");
    let told: Vec<_> = posts.iter().map(|post| (post.field("token"), post.field("token_type_hint"))).collect();
    let pair = |token: &str, hint: &str| (Some(token.to_owned()), Some(hint.to_owned()));
    assert_eq!(told, [pair("rt-old-0123456789", "refresh_token"), pair("at-old-0123456789", "access_token")]);
    assert!(posts.iter().all(|post| post.head.contains("authorization: Basic ")));
}

#[tokio::test]
async fn an_access_token_that_is_expired_is_not_revoked() {
    let server = Server::oauth2().await;
    server.script("/revoke", Reply::text(200, "text/plain", ""));
    let mut tokens = tokens();
    tokens.access.expires_at = NOW;
    assert_eq!(server.provider().revoke(&tokens, NOW).await, RevokeOutcome::Done);
    assert_eq!(server.count("/revoke"), 1);
}

#[tokio::test]
async fn a_provider_without_revocation_is_not_asked() {
    let server = Server::oidc().await;
    server.discover("revocation_endpoint", json!(null));
    assert_eq!(server.provider().revoke(&tokens(), NOW).await, RevokeOutcome::Unsupported);
    assert_eq!(server.count("/revoke"), 0);
}

#[tokio::test]
async fn dead_tokens_and_unlisted_access_tokens_are_fine() {
    assert_eq!(outcome_of(Reply::json(400, &json!({"error": "invalid_token"}))).await, RevokeOutcome::Done);
    let unsupported = json!({"error": "unsupported_token_type"});
    assert_eq!(outcome_of(Reply::json(400, &unsupported)).await, RevokeOutcome::Unsupported);
}

#[tokio::test]
async fn no_secret_that_a_provider_quotes_is_told() {
    let said = json!({"error": "invalid_request", "error_description": "rt-old-0123456789 of s3cr3t"});
    let RevokeOutcome::Refused(fault) = outcome_of(Reply::json(400, &said)).await else { panic!("not refused") };
    assert!(fault.to_string().contains("([redacted] of [redacted])"), "{fault}");
}

#[tokio::test]
async fn what_may_work_later_is_tried_again() {
    for reply in [
        Reply::text(503, "text/plain", ""),
        Reply::text(429, "text/plain", ""),
        Reply::json(401, &json!({"error": "invalid_client"})),
        Reply::text(401, "text/plain", ""),
        Reply::text(403, "text/html", "<html>blocked</html>"),
        Reply::Cut(400, "{\"error\":".to_owned()),
        Reply::HangUpAfter,
    ] {
        let outcome = outcome_of(reply).await;
        assert!(matches!(outcome, RevokeOutcome::TryAgain(_)), "{outcome:?}");
    }
}

#[tokio::test]
async fn what_the_provider_will_not_do_is_final() {
    for reply in [
        Reply::json(400, &json!({"error": "invalid_request"})),
        Reply::text(404, "text/html", ""),
        Reply::redirect("/elsewhere"),
    ] {
        let outcome = outcome_of(reply).await;
        assert!(matches!(outcome, RevokeOutcome::Refused(_)), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_revocation_endpoint_that_discovery_leaves_out_can_be_configured() {
    for (told, asked) in [(json!(null), "/revoke2"), (json!("/revoke"), "/revoke")] {
        let server = Server::oidc().await;
        let at = |path: &str| format!("{}{path}", server.url());
        server.discover("revocation_endpoint", told.as_str().map_or(json!(null), |path| json!(at(path))));
        server.script(asked, Reply::text(200, "text/plain", ""));
        let provider = server.provider_with(|settings| {
            settings.kind =
                ProviderKind::Oidc { issuer: server.url().to_owned(), revocation: Some(at("/revoke2")), device: None };
        });
        let tokens = session(server.url()).tokens.expect("tokens");
        assert_eq!(provider.revoke(&tokens, NOW).await, RevokeOutcome::Done);
        assert!(server.count(asked) > 0);
    }
}
