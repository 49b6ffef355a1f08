//! Tests of a provider as an administrator reads them.

use chrono::DateTime;
use serde_json::json;
use tokenkeeper_protocol::Secret;

use super::*;
use crate::config::settings::{ProviderKind, ProviderSettings};
use crate::provider::Health;
use crate::provider::scripted::{NOW, Reply, Server};

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// A provider that has everything and accepts our client.
async fn healthy() -> Server {
    let server = Server::oidc().await;
    server.discover("code_challenge_methods_supported", json!(["S256"]));
    server.discover("device_authorization_endpoint", json!("https://id.example/device"));
    server.script("/token", Reply::json(400, &json!({ "error": "invalid_grant" })));
    server
}

async fn test(server: &Server) -> Vec<ProviderStep> {
    server.provider().probe(&Clock::manual(NOW)).await
}

fn outcomes(steps: &[ProviderStep]) -> Vec<(&str, StepOutcome)> {
    steps.iter().map(|step| (step.name.as_str(), step.outcome)).collect()
}

#[track_caller]
fn detail(steps: &[ProviderStep], name: &str, outcome: StepOutcome) -> String {
    let step = steps.iter().find(|step| step.name == name).unwrap_or_else(|| panic!("no {name} in {steps:?}"));
    assert_eq!(step.outcome, outcome, "{steps:?}");
    step.detail.clone()
}

fn date(at: UnixSeconds) -> String {
    DateTime::from_timestamp(at.0, 0).unwrap().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[tokio::test]
async fn a_healthy_provider_passes_every_step_and_nothing_of_it_is_kept() {
    let server = healthy().await;
    let document = server.scripted(DISCOVERY).with("Date", &date(NOW));
    server.script(DISCOVERY, document);
    let provider = server.provider();
    let steps = provider.probe(&Clock::manual(NOW)).await;
    let names = ["configuration", "connection", "clock", "discovery", "endpoints", "features", "keys", "client"];
    assert_eq!(outcomes(&steps), names.map(|name| (name, StepOutcome::Passed)), "{steps:?}");
    assert_eq!(detail(&steps, "keys", StepOutcome::Passed), "1 for signatures (EdDSA)");
    assert_eq!(provider.health(), Health::default(), "a test is no sign of life for those who look at the status");
    let posts = server.requests("/token");
    assert_eq!(posts.len(), 1);
    assert_eq!(posts[0].field("refresh_token").as_deref(), Some("tokenkeeper-provider-test-this-is-not-a-token"));
    assert!(!format!("{steps:?}").contains("s3cr3t"));
}

#[tokio::test]
async fn who_tests_on_and_on_gets_the_same_report_for_five_seconds() {
    let server = healthy().await;
    let (provider, clock) = (server.provider(), Clock::manual(NOW));
    let (first, second) = tokio::join!(provider.probe(&clock), provider.probe(&clock));
    assert_eq!((first, server.count("/token")), (second, 1));
    clock.advance(Duration::from_secs(5));
    provider.probe(&clock).await;
    assert_eq!(server.count("/token"), 2);
}

#[tokio::test]
async fn a_client_that_is_not_accepted_fails_with_the_command_that_mends_it() {
    let server = healthy().await;
    for (status, body) in [
        (401, json!({ "error": "invalid_client", "error_description": "s3cr3t is wrong" }).to_string()),
        (200, json!({ "error": "incorrect_client_credentials" }).to_string()),
        (401, "<html>".to_owned()),
    ] {
        server.script("/token", Reply::text(status, "application/json", &body));
        let steps = test(&server).await;
        let said = detail(&steps, "client", StepOutcome::Failed);
        assert!(said.contains("tokenkeeper provider set-secret corp") && said.contains("\"post\""), "{said}");
        assert!(!said.contains("s3cr3t"), "{said}");
    }
}

#[tokio::test]
async fn other_answers_of_the_token_endpoint_are_told_for_what_they_are() {
    let server = healthy().await;
    for (reply, outcome, words) in [
        (Reply::json(400, &json!({ "error": "unauthorized_client" })), StepOutcome::Warned, "may not refresh tokens"),
        (Reply::json(401, &json!({ "error": "unauthorized_client" })), StepOutcome::Failed, "set its secret anew"),
        (Reply::json(400, &json!({ "error": "unsupported_grant_type" })), StepOutcome::Warned, "refreshes no tokens"),
        (Reply::json(400, &json!({ "error": "invalid_request" })), StepOutcome::Warned, "cannot be told"),
        (Reply::text(400, "text/plain", ""), StepOutcome::Warned, "cannot be told"),
        (Reply::json(200, &json!({ "access_token": "a" })), StepOutcome::Warned, "do not trust"),
        (Reply::json(400, &json!({ "error": "bad_refresh_token" })), StepOutcome::Passed, "accepted"),
        (Reply::text(503, "text/html", ""), StepOutcome::Failed, "try again later"),
        (Reply::redirect("/elsewhere"), StepOutcome::Failed, "correct its address"),
        (Reply::HangUpAfter, StepOutcome::Failed, "broke"),
    ] {
        server.script("/token", reply);
        let said = detail(&test(&server).await, "client", outcome);
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn another_issuer_ends_the_test_before_the_client_shows_itself() {
    let server = healthy().await;
    server.discover("issuer", json!("https://evil.example"));
    let steps = test(&server).await;
    let said = detail(&steps, "discovery", StepOutcome::Failed);
    assert!(said.contains("write issuer = \"https://evil.example\""), "{said}");
    assert_eq!((steps.last().unwrap().name.as_str(), server.count("/token")), ("discovery", 0));
}

#[tokio::test]
async fn a_page_instead_of_a_document_tells_where_it_was_looked_for() {
    let server = healthy().await;
    server.script(DISCOVERY, Reply::text(404, "text/html", "gone"));
    let said = detail(&test(&server).await, "discovery", StepOutcome::Failed);
    assert!(
        said.contains("HTTP 404") && said.contains(&format!("{}{DISCOVERY}: check issuer", server.url())),
        "{said}"
    );
}

#[tokio::test]
async fn an_endpoint_that_must_be_there_fails_and_one_that_is_good_to_have_warns() {
    let server = healthy().await;
    server.discover("revocation_endpoint", json!(null));
    let steps = test(&server).await;
    let said = detail(&steps, "endpoints", StepOutcome::Warned);
    assert!(said.contains("no revocation endpoint: after a logout tokens live on"), "{said}");
    assert_eq!(detail(&steps, "client", StepOutcome::Passed), "accepted by the token endpoint");
    server.discover("token_endpoint", json!("http://id.example/token"));
    let steps = test(&server).await;
    assert!(detail(&steps, "endpoints", StepOutcome::Failed).contains("token_endpoint"), "{steps:?}");
    assert_eq!(detail(&steps, "discovery", StepOutcome::Passed), format!("issuer {}, as configured", server.url()));
}

#[tokio::test]
async fn what_a_login_needs_is_held_against_what_is_advertised() {
    let server = healthy().await;
    server.discover("code_challenge_methods_supported", json!(["plain"]));
    server.discover("grant_types_supported", json!(["authorization_code"]));
    server.discover("token_endpoint_auth_methods_supported", json!(["client_secret_post"]));
    server.discover("scopes_supported", json!(["openid"]));
    let said = detail(&test(&server).await, "features", StepOutcome::Warned);
    for words in ["S256", "refresh tokens", "client_authentication = \"post\"", "scope profile"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    server.discover("grant_types_supported", json!(["client_credentials"]));
    assert!(detail(&test(&server).await, "features", StepOutcome::Failed).contains("nobody can log in"));
}

#[tokio::test]
async fn keys_that_prove_nothing_do_not_count() {
    let server = healthy().await;
    let secret = json!({ "kty": "oct", "k": "c2VjcmV0" });
    for keys in [json!({ "keys": [] }), json!({ "keys": [secret] })] {
        server.script("/jwks", Reply::json(200, &keys));
        let steps = test(&server).await;
        assert!(detail(&steps, "keys", StepOutcome::Failed).contains("RS256"), "{steps:?}");
        detail(&steps, "client", StepOutcome::Passed);
    }
    server.script("/jwks", Reply::text(500, "text/html", ""));
    assert!(detail(&test(&server).await, "keys", StepOutcome::Failed).contains("HTTP 500"));
}

#[tokio::test]
async fn clocks_that_differ_are_told_with_the_direction() {
    let server = healthy().await;
    let good = server.scripted(DISCOVERY);
    for (there, outcome, words) in [
        (NOW + Duration::from_secs(60), StepOutcome::Passed, "60 s apart"),
        (NOW + Duration::from_secs(61), StepOutcome::Warned, "61 s behind that of the provider"),
        (NOW - Duration::from_hours(1), StepOutcome::Warned, "3600 s ahead of that of the provider"),
    ] {
        server.script(DISCOVERY, good.clone().with("Date", &date(there)));
        let said = detail(&test(&server).await, "clock", outcome);
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn where_nobody_answers_nothing_else_is_tried() {
    let server = Server::oauth2_over_tls().await;
    let steps = test(&server).await;
    let said = detail(&steps, "connection", StepOutcome::Failed);
    assert!(said.contains("ca_file"), "{said}");
    assert_eq!((steps.len(), server.count("/token")), (2, 0));

    let nobody = |it: &mut ProviderSettings| {
        it.kind = ProviderKind::Oidc { issuer: "http://127.0.0.1:1".to_owned(), revocation: None, device: None };
    };
    let steps = server.provider_with(nobody).probe(&Clock::manual(NOW)).await;
    assert!(detail(&steps, "connection", StepOutcome::Failed).contains("whether it takes a proxy"));
}

#[tokio::test]
async fn a_provider_without_discovery_is_tested_at_its_token_endpoint() {
    let server = Server::oauth2().await;
    server.script("/token", Reply::json(400, &json!({ "error": "invalid_grant" })));
    let names = ["configuration", "connection", "endpoints", "client"];
    assert_eq!(outcomes(&test(&server).await), names.map(|name| (name, StepOutcome::Passed)));
    assert_eq!(server.count("/token"), 2, "one GET and one POST");
}

#[tokio::test]
async fn a_secret_with_a_blank_at_its_end_is_pointed_at() {
    let server = healthy().await;
    let provider = server.provider_with(|it| it.client_secret = Some(Secret::from("s3cr3t ")));
    let steps = provider.probe(&Clock::manual(NOW)).await;
    assert!(detail(&steps, "configuration", StepOutcome::Warned).contains("set-secret corp"));
}
