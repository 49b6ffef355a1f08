//! Refreshes against a scripted provider: every way in which they go wrong, and that each is one POST.

mod id_tokens;

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::*;
use crate::config::settings::ProviderKind;
use crate::provider::Sign;
use crate::provider::scripted::{NOW, Reply, Server, Signer, refresh, session};

async fn outcome_of(reply: Reply) -> RefreshOutcome {
    let server = Server::oauth2().await;
    server.script("/token", reply);
    let outcome = refresh(&server.provider(), &session(server.url()), NOW).await;
    assert_eq!(server.count("/token"), 1);
    outcome
}

fn renewed(outcome: RefreshOutcome) -> Tokens {
    match outcome {
        RefreshOutcome::Renewed(tokens) => tokens,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn new_tokens_come_with_one_post_that_asks_for_no_scope() {
    let server = Server::oauth2().await;
    server.script(
        "/token",
        Reply::json(
            200,
            &json!({
                "access_token": "at-new", "refresh_token": "rt-new", "expires_in": "60", "scope": "profile",
            }),
        ),
    );
    let provider = server.provider();
    let tokens = renewed(refresh(&provider, &session(server.url()), NOW).await);
    assert_eq!(tokens.access.token, Secret::from("at-new"));
    assert_eq!(tokens.access.life(), Duration::from_secs(60));
    assert_eq!(tokens.refresh, Some(Secret::from("rt-new")));
    let posts = server.requests("/token");
    assert_eq!(posts.len(), 1);
    assert_eq!(posts[0].body, "grant_type=refresh_token&refresh_token=rt-old-0123456789");
    assert_eq!(provider.health().last_success_at, Some(NOW));
}

#[tokio::test]
async fn a_silent_answer_keeps_what_was_known() {
    let tokens = renewed(outcome_of(Reply::json(200, &json!({"access_token": "at-new"}))).await);
    assert_eq!((tokens.refresh, tokens.id), (None, None));
    assert_eq!(tokens.access.scope, "openid profile");
    assert_eq!(tokens.access.life(), Duration::from_secs(300));
}

#[tokio::test]
async fn a_body_that_is_only_said_to_be_encoded_is_read_as_it_is() {
    for encoding in ["identity", "Identity", "UTF-8", ""] {
        let reply = Reply::json(200, &json!({"access_token": "at-new"})).with("Content-Encoding", encoding);
        assert_eq!(renewed(outcome_of(reply).await).access.token.expose(), "at-new", "{encoding:?}");
    }
}

#[tokio::test]
async fn a_dead_refresh_token_is_refused_for_good() {
    let gone = json!({"error": "invalid_grant", "error_description": "rt-old-0123456789 is revoked"});
    for status in [200, 400, 401, 403] {
        let refused = RefreshOutcome::Refused {
            error: "invalid_grant".to_owned(),
            description: Some("[redacted] is revoked".to_owned()),
            correlation: None,
        };
        assert_eq!(outcome_of(Reply::json(status, &gone)).await, refused);
    }
}

#[tokio::test]
async fn whatever_secret_a_provider_quotes_it_is_told_to_nobody() {
    let secrets = ["rt-old-0123456789", "at-old-0123456789", "s3cr3t"];
    for (status, error) in [(400, "invalid_grant"), (401, "invalid_client"), (503, "server_error")] {
        let said = json!({"error": error, "error_description": secrets.join(" "), "trace_id": secrets.join("/")});
        let outcome = format!("{:?}", outcome_of(Reply::json(status, &said)).await);
        assert!(outcome.contains("[redacted] [redacted] [redacted]"), "{outcome}");
        assert!(!secrets.iter().any(|secret| outcome.contains(secret)), "{outcome}");
    }
}

#[tokio::test]
async fn no_header_and_no_disguise_brings_a_secret_into_an_outcome() {
    let secrets = ["rt-old-0123456789", "at-old-0123456789", "s3cr3t"];
    // As it stands in `Authorization: Basic`, and a token alone.
    let encoded = ["shop:s3cr3t", "rt-old-0123456789"].map(|it| BASE64.encode(it.as_bytes()));
    for secret in secrets.into_iter().chain(encoded.iter().map(String::as_str)) {
        let split = |by: &str| format!("{}{by}{}", &secret[..3], &secret[3..]);
        let gone = |description: &str| json!({"error": "invalid_grant", "error_description": description});
        let page = |content_type: &str| Reply::text(200, content_type, "<html>");
        for reply in [
            page(&format!("text/{secret}")),
            page(&format!("text/rt.ct.{secret}; charset=utf-8")),
            page(&format!("text/html; charset={secret}")),
            page(secret),
            Reply::json(200, &json!({})).with("Content-Encoding", &format!("gzip, {secret}")),
            Reply::json(503, &json!({})).with("Content-Encoding", &format!("gzip, {secret}")),
            Reply::json(400, &gone("")).with("x-request-id", secret),
            Reply::redirect(&format!("/{secret}")),
            Reply::json(400, &gone(&split("\u{200b}"))),
            Reply::json(400, &gone(&split("\u{1}"))),
            Reply::json(400, &gone(&split("\r\n"))),
            Reply::json(400, &gone(&format!("Authorization: Basic {secret}"))),
            Reply::json(400, &json!({"error": split("\u{feff}"), "trace_id": split("\u{2066}")})),
        ] {
            let outcome = format!("{:?}", outcome_of(reply.clone()).await);
            let seen: String = outcome.split_whitespace().collect();
            assert!(!seen.contains(secret), "{reply:?}: {outcome}");
        }
    }
}

#[tokio::test]
async fn of_a_content_type_no_more_is_told_than_what_it_is() {
    let long = format!("text/{}", "x".repeat(65));
    for (said, shown) in [
        ("text/html; charset=utf-8; id=7", "text/html"),
        ("application/vnd.example.v1+xml", "application/vnd.example.v1+xml"),
        ("whatever", "another content type"),
        ("text/a b", "another content type"),
        (&long, "another content type"),
    ] {
        let outcome = outcome_of(Reply::text(200, said, "<html>")).await;
        let RefreshOutcome::Unknown(fault) = outcome else { panic!("{outcome:?}") };
        assert!(
            fault.to_string().starts_with(&format!("the token endpoint answered with {shown} instead of JSON;")),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn an_error_that_could_not_be_read_ends_no_session_and_advises_nothing() {
    let gone = json!({"error": "invalid_grant"}).to_string();
    let long = || Reply::text(400, "application/json", &format!("{gone}{}", " ".repeat(256 * 1024)));
    for (reply, words) in [
        (Reply::Cut(400, gone.clone()), "could not be read: the connection to "),
        (long(), "could not be read: the token endpoint answered with more than 262144 bytes"),
        (
            Reply::json(400, &json!({})).with("Content-Encoding", "gzip"),
            "could not be read: the token endpoint answered with a body compressed by gzip",
        ),
    ] {
        // What says it is refused_status only where nothing else is said.
        for refused_status in [vec![], vec![400]] {
            let server = Server::oauth2().await;
            server.script("/token", reply.clone());
            let provider = server.provider_with(|settings| settings.refused_status = refused_status);
            let outcome = refresh(&provider, &session(server.url()), NOW).await;
            let RefreshOutcome::Transient { fault, .. } = &outcome else { panic!("{outcome:?}") };
            let said = fault.to_string();
            assert!(
                said.starts_with("the token endpoint answered HTTP 400, and its reason") && said.contains(words),
                "{said}"
            );
            assert!(!said.contains("refused_status"), "{said}");
            assert_eq!(Sign::from(&outcome), Sign::Alive);
        }
    }
    let wait = outcome_of(long().with("Retry-After", "17")).await;
    assert!(matches!(wait, RefreshOutcome::Transient { retry_after: Some(it), .. } if it.as_secs() == 17), "{wait:?}");
}

#[tokio::test]
async fn what_a_status_alone_says_holds_whether_or_not_its_body_could_be_read() {
    for status in [502, 504] {
        let outcome = outcome_of(Reply::Cut(status, String::new())).await;
        assert!(matches!(outcome, RefreshOutcome::Unknown(Fault::Unread { .. })), "{outcome:?}");
    }
    let encoded = |status| Reply::text(status, "text/html", "").with("Content-Encoding", "gzip");
    let outcome = outcome_of(encoded(503).with("Retry-After", "17")).await;
    assert!(matches!(outcome, RefreshOutcome::Transient { fault: Fault::Busy { .. }, .. }), "{outcome:?}");
    let outcome = outcome_of(encoded(404)).await;
    assert!(matches!(outcome, RefreshOutcome::Transient { fault: Fault::NotThere { .. }, .. }), "{outcome:?}");
    let outcome = outcome_of(encoded(302)).await;
    assert!(matches!(outcome, RefreshOutcome::Misconfigured(Fault::Redirect { .. })), "{outcome:?}");
}

#[tokio::test]
async fn trouble_with_our_registration_loses_no_session() {
    for error in ["invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type", "new_in_2030"] {
        let outcome = outcome_of(Reply::json(401, &json!({"error": error}))).await;
        assert!(
            matches!(&outcome, RefreshOutcome::Misconfigured(fault) if fault.to_string().contains(error)),
            "{outcome:?}"
        );
    }
    let outcome = outcome_of(Reply::redirect("/elsewhere")).await;
    assert!(matches!(outcome, RefreshOutcome::Misconfigured(Fault::Redirect { .. })), "{outcome:?}");
}

#[tokio::test]
async fn an_error_of_the_providers_own_ends_a_session_only_if_the_configuration_names_it() {
    let own = json!({"error": "invalid_request", "error_description": "Value passed for the token was invalid."});
    let outcome = outcome_of(Reply::json(400, &own)).await;
    let RefreshOutcome::Misconfigured(fault) = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        fault.to_string(),
        "the token endpoint answered invalid_request (Value passed for the token was invalid.); \
         if it means that a login is needed, name it in refused"
    );
    let server = Server::oauth2().await;
    let provider = server.provider_with(|settings| settings.refused = vec!["invalid_request".to_owned()]);
    for (status, is_refused) in [(400, true), (200, true), (503, false)] {
        server.script("/token", Reply::json(status, &own));
        let outcome = refresh(&provider, &session(server.url()), NOW).await;
        assert_eq!(matches!(outcome, RefreshOutcome::Refused { .. }), is_refused, "{status}: {outcome:?}");
    }
    server.script("/token", Reply::json(401, &json!({"error": "invalid_client"})));
    let outcome = refresh(&provider, &session(server.url()), NOW).await;
    assert!(matches!(outcome, RefreshOutcome::Misconfigured(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_status_without_a_word_ends_a_session_only_if_the_configuration_names_it() {
    let bad = || Reply::text(400, "text/plain", "");
    let RefreshOutcome::Transient { fault, .. } = outcome_of(bad()).await else { panic!("not transient") };
    assert!(fault.to_string().ends_with("if it means that a login is needed, name it in refused_status"), "{fault}");
    assert_eq!(Sign::from(&RefreshOutcome::Transient { fault, retry_after: None }), Sign::Alive);

    let server = Server::oauth2().await;
    let provider = server.provider_with(|settings| settings.refused_status = vec![400]);
    let unknown = json!({"error": "invalid_client"});
    for (reply, is_refused) in [(bad(), true), (Reply::json(400, &unknown), false), (Reply::text(403, "", ""), false)] {
        server.script("/token", reply);
        let outcome = refresh(&provider, &session(server.url()), NOW).await;
        assert_eq!(matches!(outcome, RefreshOutcome::Refused { .. }), is_refused, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_provider_that_says_nothing_but_who_are_you_leads_to_our_registration() {
    let outcome = outcome_of(Reply::text(401, "text/plain", "")).await;
    let RefreshOutcome::Transient { fault, .. } = outcome else { panic!("{outcome:?}") };
    assert!(fault.to_string().contains("check client_id, client_secret and client_authentication"), "{fault}");
}

#[tokio::test]
async fn answers_that_say_later_are_transient_with_the_wait_they_ask_for() {
    let wait = |reply: Reply| reply.with("Retry-After", "17");
    let gone = json!({"error": "invalid_grant"});
    for reply in [
        wait(Reply::text(503, "text/html", "<html>")),
        wait(Reply::text(429, "text/plain", "")),
        wait(Reply::text(408, "text/plain", "")),
        wait(Reply::json(500, &gone)),
        wait(Reply::json(400, &json!({"error": "temporarily_unavailable"}))),
        wait(Reply::json(400, &json!({"error": "slow_down"}))),
        wait(Reply::text(403, "text/html", "<html>blocked</html>")),
        wait(Reply::text(400, "text/plain", "")),
    ] {
        let outcome = outcome_of(reply.clone()).await;
        let seventeen = Some(Duration::from_secs(17));
        assert!(
            matches!(&outcome, RefreshOutcome::Transient { retry_after, .. } if *retry_after == seventeen),
            "{reply:?}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn what_a_failing_provider_says_is_passed_on() {
    let busy = json!({"error": "server_error", "error_description": "rt-old-0123456789: busy"});
    let outcome = outcome_of(Reply::json(503, &busy)).await;
    let RefreshOutcome::Transient { fault, retry_after: None } = outcome else { panic!("{outcome:?}") };
    assert_eq!(fault.to_string(), "the token endpoint answered server_error ([redacted]: busy)");
}

#[tokio::test]
async fn a_gateway_without_an_answer_may_have_spent_the_token() {
    for status in [502, 504] {
        let outcome = outcome_of(Reply::text(status, "text/html", "<html>")).await;
        assert_eq!(outcome, RefreshOutcome::Unknown(Fault::Status { place: Place::Token, status }));
    }
}

#[tokio::test]
async fn a_success_that_cannot_be_used_may_have_spent_the_token() {
    let large = json!({"access_token": "at", "refresh_token": "x".repeat(16_385)});
    for (reply, words) in [
        (Reply::text(200, "text/html", "<html>"), "text/html instead of JSON"),
        (Reply::text(200, "application/json", "{\"access_token\": \"at"), "JSON that is broken"),
        (Reply::json(200, &json!({"token_type": "Bearer"})), "no usable access_token"),
        (Reply::json(200, &large), "the refresh token of 16385 bytes is too large"),
        (Reply::json(200, &json!({"access_token": "at"})).with("Content-Encoding", "gzip"), "compressed by gzip"),
        (Reply::Cut(200, "{\"access_token\": \"at\"}".to_owned()), "broke before its answer was complete"),
        (Reply::Endless, "more than 262144 bytes"),
        (Reply::HangUpAfter, "broke before its answer was complete"),
    ] {
        let outcome = outcome_of(reply).await;
        assert!(matches!(&outcome, RefreshOutcome::Unknown(fault) if fault.to_string().contains(words)), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_dropped_unread_is_not_tried_again() {
    let server = Server::oauth2().await;
    server.on_connect(Reply::HangUpBefore);
    let outcome = refresh(&server.provider(), &session(server.url()), NOW).await;
    assert!(matches!(outcome, RefreshOutcome::Unknown(Fault::Broken { .. })), "{outcome:?}");
    assert_eq!(server.count("/"), 1);
}

#[tokio::test]
async fn silence_ends_with_the_timeout_and_may_have_spent_the_token() {
    let server = Server::oauth2().await;
    server.script("/token", Reply::Silence);
    let provider = server.provider_with(|settings| settings.timeout = Duration::from_millis(300));
    let outcome = refresh(&provider, &session(server.url()), NOW).await;
    assert!(matches!(outcome, RefreshOutcome::Unknown(Fault::Timeout { .. })), "{outcome:?}");
    assert_eq!(server.count("/token"), 1);
}

#[tokio::test]
async fn a_connection_that_never_becomes_secure_carried_nothing() {
    let server = Server::oauth2().await;
    let provider = server.provider_with(|settings| {
        settings.timeout = Duration::from_millis(300);
        if let ProviderKind::Oauth2(endpoints) = &mut settings.kind {
            // The server waits for the end of an HTTP request, and the client for that of the TLS handshake.
            endpoints.token = endpoints.token.replace("http://", "https://");
        }
    });
    let outcome = refresh(&provider, &session(server.url()), NOW).await;
    let RefreshOutcome::NotSent(fault) = outcome else { panic!("{outcome:?}") };
    assert!(fault.to_string().contains("nothing answers within 0.15 s"), "{fault}");
}

#[tokio::test]
async fn what_never_left_this_machine_can_be_repeated() {
    let server = Server::oauth2().await;
    let refused = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("an address");
    for (token, words) in [
        (format!("http://{refused}/token"), format!("cannot connect to {refused}: ")),
        // "cannot find", or "cannot connect to" where the resolver takes longer than the test.
        ("https://no-such-host.invalid/token".to_owned(), "cannot ".to_owned()),
    ] {
        let provider = server.provider_with(|settings| {
            if let ProviderKind::Oauth2(endpoints) = &mut settings.kind {
                endpoints.token = token;
            }
        });
        let outcome = refresh(&provider, &session(server.url()), NOW).await;
        assert!(
            matches!(&outcome, RefreshOutcome::NotSent(fault) if fault.to_string().starts_with(&words)),
            "{outcome:?}"
        );
        assert!(provider.health().failure.is_some());
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_trusted_gets_no_token_and_its_authority_can_be_named() {
    let server = Server::oauth2_over_tls().await;
    server.script("/token", Reply::json(200, &json!({"access_token": "at-new"})));
    let outcome = refresh(&server.provider(), &session(server.url()), NOW).await;
    assert!(matches!(&outcome, RefreshOutcome::NotSent(Fault::Tls { .. })), "{outcome:?}");
    assert_eq!(server.count("/token"), 0);

    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/src/provider/scripted/keys/authority.pem");
    let provider = server.provider_with(|settings| settings.ca_file = Some(authority.into()));
    renewed(refresh(&provider, &session(server.url()), NOW).await);
    assert_eq!(server.count("/token"), 1);
}

#[tokio::test]
async fn without_metadata_or_a_refresh_token_nothing_is_sent() {
    let server = Server::oidc().await;
    server.script("/.well-known/openid-configuration", Reply::text(503, "text/plain", ""));
    let provider = server.provider();
    let outcome = refresh(&provider, &session(server.url()), NOW).await;
    assert!(matches!(outcome, RefreshOutcome::NotSent(Fault::Status { place: Place::Discovery, .. })), "{outcome:?}");
    let server = Server::oauth2().await;
    let mut without = session(server.url());
    without.tokens.as_mut().expect("tokens").refresh = None;
    let outcome = refresh(&server.provider(), &without, NOW).await;
    assert_eq!(outcome, RefreshOutcome::NotSent(Fault::NoRefreshToken));
    assert_eq!(server.count("/token"), 0);
}

#[tokio::test]
async fn a_refresh_token_is_not_shown_to_another_issuer_than_gave_it() {
    let server = Server::oidc().await;
    let outcome = refresh(&server.provider(), &session("https://old.example"), NOW).await;
    assert!(matches!(outcome, RefreshOutcome::Misconfigured(Fault::AnotherIssuer { .. })), "{outcome:?}");
    assert_eq!(server.count("/token"), 0);
}
