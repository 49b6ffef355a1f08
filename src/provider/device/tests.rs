//! Device flows against a scripted provider.

use serde_json::{Value, json};
use tokenkeeper_protocol::LoginId;

use super::*;
use crate::domain::Peer;
use crate::provider::scripted::{NOW, Reply, Server, device_begin};

const CODE: &str = "dc-0123456789";

fn ask(provider: &Provider) -> DeviceAsk {
    DeviceAsk::new(provider.settings(), &device_begin()).expect("scopes that are configured")
}

/// The answer of RFC 8628 section 3.2, with changes; `null` removes a member.
fn script(server: &Server, changes: &[(&str, Value)]) {
    let mut answer = json!({
        "device_code": CODE,
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://id.example/device",
        "verification_uri_complete": "https://id.example/device?user_code=WDJB-MJHT",
        "expires_in": 900,
        "interval": 7,
    });
    for (name, value) in changes {
        answer[name] = value.clone();
    }
    server.script("/device", Reply::json(200, &answer));
}

async fn start(server: &Server, changes: &[(&str, Value)]) -> Result<DeviceStart, DeviceRefused> {
    script(server, changes);
    let provider = server.provider();
    provider.begin_device(&ask(&provider), NOW).await
}

fn flow(server: &Server) -> DeviceFlow {
    DeviceFlow {
        id: LoginId::from_random([1; 16]),
        device_code: Secret::from(CODE),
        issuer: server.url().to_owned(),
        resource: Vec::new(),
        scopes: vec!["openid".to_owned()],
        peer: Peer { uid: 1000, gids: vec![1000], pid: 1, unit: None },
        interval: 5,
        failure: None,
    }
}

async fn poll(server: &Server, reply: Reply) -> DevicePoll {
    server.script("/token", reply);
    server.provider().poll_device(&flow(server), NOW).await
}

fn tokens(server: &Server, changes: &[(&str, Value)]) -> Reply {
    let id = server.id_token(changes);
    let tokens = json!({"access_token": "at-0123456789", "expires_in": "300", "refresh_token": "rt-0123456789", "id_token": id.expose()});
    Reply::json(200, &tokens)
}

#[tokio::test]
async fn a_flow_begins_with_one_post_that_says_who_we_are_and_what_is_wanted() {
    let server = Server::oidc().await;
    script(&server, &[]);
    let provider = server.provider();
    let begin = DeviceBegin {
        scopes: vec!["openid".to_owned(), "offline_access".to_owned()],
        acr_values: vec!["mfa".to_owned()],
        ..device_begin()
    };
    let ask = DeviceAsk::new(provider.settings(), &begin).expect("fine scopes");
    let start = provider.begin_device(&ask, NOW).await.expect("a start");
    assert_eq!((start.device_code.expose(), start.user_code.expose()), (CODE, "WDJB-MJHT"));
    assert_eq!(start.verification_uri, "https://id.example/device");
    assert_eq!(
        start.verification_uri_complete.expect("it is there").expose(),
        "https://id.example/device?user_code=WDJB-MJHT"
    );
    assert_eq!((start.life.as_secs(), start.interval.as_secs(), start.issuer.as_str()), (900, 7, server.url()));
    let [post] = &server.requests("/device")[..] else { panic!("one request") };
    assert!(post.head.to_ascii_lowercase().contains("authorization: basic"), "{}", post.head);
    assert_eq!(post.field("client_id").as_deref(), Some("shop"));
    assert_eq!(post.field("scope").as_deref(), Some("openid offline_access"));
    assert_eq!((post.field("acr_values").as_deref(), post.field("prompt").as_deref()), (Some("mfa"), Some("consent")));
    assert_eq!(post.field("code_challenge"), None);
}

#[tokio::test]
async fn an_answer_may_be_loosely_typed_incomplete_or_exaggerate() {
    let server = Server::oidc().await;
    for (changes, life, interval) in [
        (vec![("interval", json!(null)), ("expires_in", json!("600"))], 600, 5),
        (vec![("interval", json!("10")), ("expires_in", json!(null))], 600, 10),
        (vec![("interval", json!(0)), ("expires_in", json!(1e9))], 1800, 5),
        (vec![("interval", json!(86_400)), ("expires_in", json!(-1))], 600, 60),
    ] {
        let start = start(&server, &changes).await.expect("a start");
        assert_eq!((start.life.as_secs(), start.interval.as_secs()), (life, interval), "{changes:?}");
    }
    let google = [("verification_uri", json!(null)), ("verification_url", json!("https://id.example/g"))];
    assert_eq!(start(&server, &google).await.expect("a start").verification_uri, "https://id.example/g");
}

#[tokio::test]
async fn nothing_that_could_mislead_people_is_shown_to_them() {
    let server = Server::oidc().await;
    for changes in [
        ("user_code", json!("AB\u{1b}[2J")),
        ("user_code", json!("AB\u{202e}CD")),
        ("user_code", json!("x".repeat(65))),
        ("user_code", json!("")),
        ("verification_uri", json!("http://id.example/device")),
        ("verification_uri", json!("javascript:alert(1)")),
        ("verification_uri", json!("https://user:pw@id.example/")),
        ("device_code", json!(null)),
    ] {
        let refused = start(&server, std::slice::from_ref(&changes)).await.expect_err("a refusal").to_string();
        let expected = format!("the device authorization endpoint gave no usable {}", changes.0);
        assert_eq!(refused, expected, "{changes:?}");
    }
    let complete = [("verification_uri_complete", json!("http://evil.example/?user_code=WDJB-MJHT"))];
    assert!(start(&server, &complete).await.expect("a start").verification_uri_complete.is_none());
}

#[tokio::test]
async fn a_provider_without_the_endpoint_offers_no_such_login_unless_the_configuration_knows_better() {
    use crate::config::settings::ProviderKind;
    let server = Server::oidc().await;
    server.discover("device_authorization_endpoint", json!(null));
    assert_eq!(start(&server, &[]).await.expect_err("a refusal"), DeviceRefused::NotOffered);
    let told = server.provider_with(|settings| {
        let (issuer, device) = (server.url().to_owned(), Some(format!("{}/device", server.url())));
        settings.kind = ProviderKind::Oidc { issuer, revocation: None, device };
    });
    assert!(told.begin_device(&ask(&told), NOW).await.is_ok());
    let oauth2 = Server::oauth2().await;
    assert!(start(&oauth2, &[]).await.is_ok());
}

#[tokio::test]
async fn a_refusal_to_begin_says_whose_turn_it_is() {
    let server = Server::oidc().await;
    for (status, body, is_configuration) in [
        (401, json!({"error": "invalid_client"}), true),
        (400, json!({"error": "unauthorized_client"}), true),
        (400, json!({"error": "invalid_scope"}), true),
        (503, json!({"error": "server_error"}), false),
        (500, json!("<html>"), false),
    ] {
        server.script("/device", Reply::json(status, &body));
        let provider = server.provider();
        let refused = provider.begin_device(&ask(&provider), NOW).await.expect_err("a refusal");
        let found = matches!(refused, DeviceRefused::Login(LoginFault::Configuration(_)));
        assert_eq!(found, is_configuration, "{refused}");
        assert_eq!(provider.health().failure.is_none(), is_configuration, "{refused}");
    }
}

#[tokio::test]
async fn a_user_who_has_come_is_verified_as_in_any_login() {
    let server = Server::oidc().await;
    let DevicePoll::Granted(grant) = poll(&server, tokens(&server, &[("acr", json!("mfa"))])).await else {
        panic!("no grant")
    };
    assert_eq!((grant.user.name.as_str(), grant.user.subject.as_str()), ("alice", "u-1"));
    assert_eq!(grant.authentication.acr.as_deref(), Some("mfa"));
    assert_eq!(grant.tokens.access.expires_at, UnixSeconds(NOW.0 + 300));
    assert_eq!(grant.tokens.access.scope, "openid");
    let [post] = &server.requests("/token")[..] else { panic!("one request") };
    assert_eq!(post.field("grant_type").as_deref(), Some("urn:ietf:params:oauth:grant-type:device_code"));
    assert_eq!(post.field("device_code").as_deref(), Some(CODE));
    assert_eq!((post.field("code_verifier"), post.field("redirect_uri")), (None, None));
}

#[tokio::test]
async fn tokens_whose_user_cannot_be_proven_are_revoked() {
    let server = Server::oidc().await;
    server.script("/revoke", Reply::text(200, "text/plain", ""));
    for changes in
        [("aud", json!("another")), ("iss", json!("https://evil.example")), ("exp", json!(1)), ("at_hash", json!("x"))]
    {
        let reply = tokens(&server, std::slice::from_ref(&changes));
        let before = server.count("/revoke");
        let polled = poll(&server, reply).await;
        assert!(matches!(polled, DevicePoll::Over(LoginFault::IdToken(_))), "{changes:?}: {polled:?}");
        assert_eq!(server.count("/revoke"), before + 2, "refresh and access token");
    }
}

#[tokio::test]
async fn every_answer_is_a_reason_to_wait_to_slow_down_or_to_stop() {
    let server = Server::oidc().await;
    let said = |status, error: &str| Reply::json(status, &json!({ "error": error }));
    for (reply, expected) in [
        (said(400, "authorization_pending"), "pending"),
        (said(200, "authorization_pending"), "pending"),
        (said(428, "authorization_pending"), "pending"),
        (said(400, "slow_down"), "slow down"),
        (said(429, "slow_down"), "slow down"),
        (said(400, "temporarily_unavailable"), "later"),
        (said(500, "anything"), "later"),
        (Reply::text(503, "text/html", "<h1>"), "later"),
        (Reply::text(400, "text/html", "<h1>"), "later"),
        (Reply::text(200, "text/html", "<h1>"), "later"),
        (Reply::HangUpAfter, "later"),
        (Reply::Cut(200, "{\"access_token\":\"a".to_owned()), "later"),
        (Reply::Cut(400, "{\"error\":\"acc".to_owned()), "later"),
        (Reply::json(200, &json!({"access_token": "x".repeat(20_000)})), "16384 are accepted"),
        (said(400, "access_denied"), "said no: access_denied"),
        (said(400, "expired_token"), "before it expired"),
        (said(400, "invalid_grant"), "refused the login: invalid_grant"),
        (said(401, "invalid_client"), "does not accept this client"),
        (said(400, "unsupported_grant_type"), "does not accept this client"),
    ] {
        let told = format!("{reply:?}");
        let found = match poll(&server, reply).await {
            DevicePoll::Granted(_) => "granted".to_owned(),
            DevicePoll::Pending => "pending".to_owned(),
            DevicePoll::SlowDown => "slow down".to_owned(),
            DevicePoll::Later { .. } => "later".to_owned(),
            DevicePoll::Over(fault) => fault.to_string(),
        };
        assert!(found.contains(expected), "{told}: {found}");
    }
    let busy = Reply::text(503, "text/html", "").with("Retry-After", "17");
    let DevicePoll::Later { retry_after, .. } = poll(&server, busy).await else { panic!("not later") };
    assert_eq!(retry_after, Some(Duration::from_secs(17)));
}

#[tokio::test]
async fn what_a_provider_says_of_a_code_does_not_repeat_it() {
    let server = Server::oidc().await;
    let body = json!({"error": "invalid_grant", "error_description": format!("{CODE} of s3cr3t is unknown")});
    let DevicePoll::Over(fault) = poll(&server, Reply::json(400, &body)).await else { panic!("not over") };
    assert!(fault.to_string().ends_with("([redacted] of [redacted] is unknown)"), "{fault}");
    let body = json!({"error": "invalid_client", "error_description": "s3cr3t is wrong"});
    server.script("/device", Reply::json(401, &body));
    let provider = server.provider();
    let refused = provider.begin_device(&ask(&provider), NOW).await.expect_err("a refusal").to_string();
    assert!(refused.contains("[redacted] is wrong"), "{refused}");
    assert!(!format!("{:?}", flow(&server)).contains(CODE));
}

#[tokio::test]
async fn a_code_is_not_shown_to_another_issuer_than_gave_it() {
    let server = Server::oidc().await;
    let flow = DeviceFlow { issuer: "https://before.example".to_owned(), ..flow(&server) };
    let polled = server.provider().poll_device(&flow, NOW).await;
    assert!(matches!(polled, DevicePoll::Over(LoginFault::AnotherIssuer { .. })), "{polled:?}");
    assert_eq!(server.count("/token"), 0);
}
