//! A provider of odd names and shapes, spoken to as the configuration describes it.

use std::time::Duration;

use serde_json::{Value, json};
use tokenkeeper_protocol::{Secret, UnixSeconds};

use crate::config::custom::{
    Answer, Body, CallbackNames, CustomSettings, Expiry, Field, FieldValue, IdTokenRule, Method, Operation,
    Placeholder, Template,
};
use crate::config::settings::{ClientAuthentication, ProviderKind, ProviderSettings};
use crate::domain::Session;
use crate::provider::scripted::{NOW, Reply, Server, begin, refresh, session};
use crate::provider::{Callback, CallbackMalformed, Fault, LoginFault, Provider, RefreshOutcome, RevokeOutcome};

use Placeholder as P;

fn template(text: &str) -> Template {
    let all = [
        P::Code,
        P::ClientId,
        P::ClientSecret,
        P::RefreshToken,
        P::AccessToken,
        P::RedirectUri,
        P::State,
        P::Nonce,
        P::Scope,
        P::LoginHint,
    ];
    Template::sample(text, &all)
}

fn field(path: &[&str], value: &str) -> Field {
    Field { path: path.iter().map(ToString::to_string).collect(), value: FieldValue::Text(template(value)) }
}

#[expect(clippy::unnecessary_wraps, reason = "every pointer is optional")]
fn at(pointer: &str) -> Option<String> {
    Some(pointer.to_owned())
}

fn operation(url: String, method: Method, body: Body) -> Operation {
    Operation {
        url,
        method,
        body,
        send: vec![],
        headers: vec![],
        answer: Answer {
            access_token: at("/Data/AccessToken"),
            refresh_token: at("/Data/RefreshToken"),
            id_token: at("/Data/IdToken"),
            expires: Some((Expiry::InMilliseconds, "/Data/Life".to_owned())),
            subject: at("/Data/User/Id"),
            name: at("/Data/User/Names/0"),
            error: at("/Code"),
            error_description: at("/Message"),
            correlation_id: at("/Trace"),
            ..Answer::default()
        },
        refused: vec!["TOKEN_DEAD".to_owned()],
        refused_status: vec![410],
        later: vec!["BUSY".to_owned()],
    }
}

fn odd(base: &str) -> CustomSettings {
    let exchange = Operation {
        send: vec![
            field(&["Client", "Id"], "{client_id}"),
            field(&["Client", "Secret"], "{client_secret}"),
            field(&["Code"], "{code}"),
            Field { path: vec!["Version".to_owned()], value: FieldValue::Number(2) },
        ],
        headers: vec![("X-Api".to_owned(), template("v2 {client_id}"))],
        ..operation(format!("{base}/GetTokenFromCode"), Method::Post, Body::Json)
    };
    let renew = Operation {
        send: vec![field(&["app"], "{client_id}")],
        headers: vec![("Authorization".to_owned(), template("Refresh {refresh_token}"))],
        ..operation(format!("{base}/refresh?v=2"), Method::Get, Body::Query)
    };
    let sign_out = Operation {
        headers: vec![("Authorization".to_owned(), template("Bearer {access_token}"))],
        ..operation(format!("{base}/GlobalSignOut"), Method::Delete, Body::Query)
    };
    CustomSettings {
        code_link: template(
            "https://login.odd.example/start?app={client_id}&back={redirect_uri}&s={state}&who={login_hint}",
        ),
        callback: CallbackNames {
            code: "CODE".to_owned(),
            state: Some("s".to_owned()),
            error: "error".to_owned(),
            error_description: "why".to_owned(),
        },
        issuer: base.to_owned(),
        id_token: IdTokenRule::Ignored,
        exchange,
        renew: Some(renew),
        sign_out: Some(sign_out),
        sign_out_ends_user: false,
        user_info: None,
    }
}

/// A server and the client of it that `change` makes of the odd one.
async fn provider_with(change: impl FnOnce(&mut CustomSettings)) -> (Server, Provider) {
    let server = Server::oauth2().await;
    let mut custom = odd(server.url());
    change(&mut custom);
    let provider = server.provider_with(|settings: &mut ProviderSettings| {
        settings.kind = ProviderKind::Custom(Box::new(custom));
        settings.scopes = vec![];
        settings.client_authentication = ClientAuthentication::None;
    });
    (server, provider)
}

async fn provider() -> (Server, Provider) {
    provider_with(|_| {}).await
}

fn granted() -> Value {
    json!({ "Code": "OK", "Data": {
        "AccessToken": "at-0123456789", "RefreshToken": "rt-0123456789", "IdToken": "x.y.z", "Life": 3_600_000,
        "User": { "Id": 42, "Names": ["alice"] },
    }})
}

fn callback(provider: &Provider, query: &str) -> Callback {
    provider.read_callback(&Secret::from(query)).expect("a callback")
}

#[tokio::test]
async fn a_code_becomes_tokens_and_a_user_by_names_that_only_the_configuration_knows() {
    let (server, provider) = provider().await;
    server.script("/GetTokenFromCode", Reply::json(200, &granted()));
    let flow = begin(&provider);
    let callback = callback(&provider, &format!("CODE=c0de-0123456789&s={}", flow.state.expose()));
    let grant = provider.exchange(&flow, &callback, NOW).await.expect("a grant");
    assert_eq!((grant.user.subject.as_str(), grant.user.name.as_str()), ("42", "alice"));
    assert_eq!(grant.user.issuer, server.url());
    assert_eq!(grant.tokens.access.expires_at, NOW + Duration::from_hours(1));
    assert_eq!(grant.tokens.refresh, Some(Secret::from("rt-0123456789")));
    assert_eq!(grant.tokens.id, None, "an ID token that nobody verified is not kept");

    let requests = server.requests("/GetTokenFromCode");
    assert_eq!(requests.len(), 1);
    let body: Value = serde_json::from_str(&requests[0].body).expect("json");
    assert_eq!(body, json!({"Client": {"Id": "shop", "Secret": "s3cr3t"}, "Code": "c0de-0123456789", "Version": 2}));
    let head = requests[0].head.to_ascii_lowercase();
    assert!(head.contains("x-api: v2 shop") && head.contains("content-type: application/json"), "{head}");
    assert!(!head.contains("authorization"), "the secret goes nowhere but where it is written: {head}");
}

#[tokio::test]
async fn a_refresh_token_is_not_kept_where_nothing_says_how_it_is_spent() {
    let (server, provider) = provider_with(|odd| odd.renew = None).await;
    server.script("/GetTokenFromCode", Reply::json(200, &granted()));
    let flow = begin(&provider);
    let callback = callback(&provider, &format!("CODE=c&s={}", flow.state.expose()));
    let grant = provider.exchange(&flow, &callback, NOW).await.expect("a grant");
    assert_eq!(grant.tokens.refresh, None);
}

#[tokio::test]
async fn the_code_link_is_filled_in_and_escaped() {
    let (_server, provider) = provider().await;
    let mut flow = begin(&provider);
    flow.login_hint = Some("a&b=c d@x".to_owned());
    let url = provider.authorize_url(&flow, NOW).await.expect("a url");
    let expected = format!(
        "https://login.odd.example/start?app=shop&back=https%3A%2F%2Fshop.example%2Fcb&s={}&who=a%26b%3Dc+d%40x",
        flow.state.expose()
    );
    assert_eq!(url.expose(), expected);
}

#[tokio::test]
async fn a_callback_is_read_by_its_own_names_and_of_no_other_login() {
    let (server, provider) = provider().await;
    let read = |query: &str| provider.read_callback(&Secret::from(query));
    assert_eq!(read("code=c&state=s"), Err(CallbackMalformed::NoState));
    assert_eq!(read("s=x&code=c"), Err(CallbackMalformed::NoAnswer));
    let flow = begin(&provider);
    let foreign = callback(&provider, "CODE=c&s=foreign");
    assert_eq!(provider.exchange(&flow, &foreign, NOW).await.expect_err("a fault"), LoginFault::WrongState);
    assert_eq!(server.count("/GetTokenFromCode"), 0);
    let refused = callback(&provider, &format!("s={}&error=no&why=closed", flow.state.expose()));
    let fault = provider.exchange(&flow, &refused, NOW).await.expect_err("a fault").to_string();
    assert_eq!(fault, "the provider refused the login: no (closed)");
}

#[tokio::test]
async fn a_provider_without_state_is_believed_only_where_the_configuration_says_so() {
    let (server, provider) = provider_with(|odd| odd.callback.state = None).await;
    server.script("/GetTokenFromCode", Reply::json(200, &granted()));
    let callback = callback(&provider, "CODE=c0de");
    assert!(provider.exchange(&begin(&provider), &callback, NOW).await.is_ok());
}

fn before(server: &Server) -> Session {
    session(server.url())
}

#[tokio::test]
async fn a_refresh_is_one_request_as_described_and_keeps_the_refresh_token() {
    let (server, provider) = provider().await;
    server.script("/refresh", Reply::json(200, &json!({"Data": {"AccessToken": "at-new", "Life": 60_000}})));
    let RefreshOutcome::Renewed(tokens) = refresh(&provider, &before(&server), NOW).await else { panic!("no tokens") };
    assert_eq!((tokens.access.token.expose(), tokens.refresh), ("at-new", None));
    assert_eq!(tokens.access.expires_at, NOW + Duration::from_mins(1));
    let requests = server.requests("/refresh");
    assert_eq!(requests.len(), 1);
    assert!(requests[0].head.starts_with("GET /refresh?v=2&app=shop HTTP/1.1"), "{}", requests[0].head);
    assert!(requests[0].head.to_ascii_lowercase().contains("authorization: refresh rt-old-0123456789"));
    assert_eq!(requests[0].body, "");
}

#[tokio::test]
async fn expiry_is_understood_in_every_notation() {
    let iso = "2026-09-21T16:20:00+02:00";
    let when = chrono::DateTime::parse_from_rfc3339(iso).expect("a time").timestamp();
    for (how, value, life) in [
        (Expiry::InSeconds, json!("90"), 90),
        (Expiry::InMilliseconds, json!(90_500), 90),
        (Expiry::At, json!(NOW.0 + 90), 90),
        (Expiry::At, json!((NOW.0 + 90) * 1000), 90),
        (Expiry::At, json!(iso), when - NOW.0),
        (Expiry::At, json!(NOW.0 - 5), 300),
        (Expiry::At, json!("soon"), 300),
        (Expiry::InSeconds, json!(null), 300),
    ] {
        let (server, provider) = provider_with(|odd| {
            odd.renew.as_mut().expect("it has one").answer.expires = Some((how, "/e".to_owned()));
        })
        .await;
        server.script("/refresh", Reply::json(200, &json!({"Data": {"AccessToken": "at"}, "e": value})));
        let RefreshOutcome::Renewed(tokens) = refresh(&provider, &before(&server), NOW).await else {
            panic!("{value}")
        };
        assert_eq!(tokens.access.expires_at, UnixSeconds(NOW.0 + life), "{how:?} {value}");
    }
}

/// What becomes of a session when its refresh is answered like this.
async fn outcome(reply: Reply) -> RefreshOutcome {
    let (server, provider) = provider().await;
    server.script("/refresh", reply);
    refresh(&provider, &before(&server), NOW).await
}

#[tokio::test]
async fn only_what_the_configuration_names_ends_a_session() {
    let dead = json!({"Code": "TOKEN_DEAD", "Message": "rt-old-0123456789 is dead", "Trace": "t-77"});
    for status in [200, 400, 500] {
        let refused = outcome(Reply::json(status, &dead)).await;
        let RefreshOutcome::Refused { error, description, correlation } = refused else {
            panic!("{status}: {refused:?}")
        };
        assert_eq!(error, "TOKEN_DEAD");
        assert_eq!(description.as_deref(), Some("[redacted] is dead"));
        assert_eq!(correlation.as_deref(), Some("correlation_id t-77"));
    }
    let gone = outcome(Reply::text(410, "text/html", "<h1>Gone</h1>")).await;
    assert_eq!(gone, RefreshOutcome::Refused { error: "HTTP 410".to_owned(), description: None, correlation: None });
    let standard = outcome(Reply::json(400, &json!({"Code": "invalid_grant"}))).await;
    assert!(matches!(standard, RefreshOutcome::Refused { .. }), "{standard:?}");
    let busy = outcome(Reply::json(200, &json!({"Code": "BUSY"}))).await;
    assert!(matches!(busy, RefreshOutcome::Transient { .. }), "{busy:?}");
    for unknown in [json!({"Code": "E4711"}), json!({"Code": 4711, "Trace": 9})] {
        let outcome = outcome(Reply::json(200, &unknown)).await;
        let RefreshOutcome::Misconfigured(fault @ Fault::Unfamiliar { .. }) = outcome else { panic!("{outcome:?}") };
        let traced = fault.to_string().contains("4711 (the provider's log has it under correlation_id 9);");
        assert_eq!(traced, unknown["Trace"] == 9, "{fault}");
    }
}

#[tokio::test]
async fn pages_and_broken_answers_leave_it_open_what_became_of_the_token() {
    for reply in [
        Reply::text(200, "text/html", "<html>maintenance</html>"),
        Reply::text(200, "application/xml", "<Error/>"),
        Reply::json(200, &json!({"Code": 0, "Data": {}})),
        Reply::HangUpAfter,
        Reply::text(504, "text/html", "gateway"),
    ] {
        let found = outcome(reply.clone()).await;
        assert!(matches!(found, RefreshOutcome::Unknown(_)), "{reply:?}: {found:?}");
    }
    for reply in [Reply::text(503, "text/xml", "<busy/>"), Reply::text(429, "text/plain", "")] {
        assert!(matches!(outcome(reply).await, RefreshOutcome::Transient { .. }));
    }
}

#[tokio::test]
async fn a_sign_out_needs_a_token_that_is_alive() {
    let (server, provider) = provider().await;
    server.script("/GlobalSignOut", Reply::text(204, "text/plain", ""));
    let tokens = before(&server).tokens.expect("tokens");
    assert_eq!(provider.revoke(&tokens, NOW).await, RevokeOutcome::Done);
    let request = &server.requests("/GlobalSignOut")[0];
    assert!(request.head.starts_with("DELETE /GlobalSignOut HTTP/1.1"), "{}", request.head);
    assert!(request.head.to_ascii_lowercase().contains("authorization: bearer at-old-0123456789"));
    let late = provider.revoke(&tokens, tokens.access.expires_at).await;
    assert_eq!(late, RevokeOutcome::Refused(Fault::SignOutTooLate));
    assert_eq!(server.count("/GlobalSignOut"), 1);
}

#[tokio::test]
async fn a_sign_out_is_done_when_the_provider_says_so_and_not_before() {
    let (server, provider) = provider().await;
    let tokens = before(&server).tokens.expect("tokens");
    for (reply, done) in [
        (Reply::json(200, &json!({"Code": 0})), true),
        (Reply::json(400, &json!({"Code": "TOKEN_DEAD"})), true),
        (Reply::text(410, "text/plain", ""), true),
        (Reply::json(200, &json!({"Code": "E1"})), false),
        (Reply::text(200, "text/html", "<html>log in</html>"), false),
        (Reply::text(404, "text/plain", ""), false),
        (Reply::text(503, "text/plain", ""), false),
        (Reply::Cut(400, "{\"Code\":".to_owned()), false),
        (Reply::HangUpAfter, false),
    ] {
        server.script("/GlobalSignOut", reply.clone());
        assert_eq!(provider.revoke(&tokens, NOW).await == RevokeOutcome::Done, done, "{reply:?}");
    }
}

#[tokio::test]
async fn a_user_is_asked_for_where_the_answer_does_not_tell() {
    let ask = |odd: &mut CustomSettings| {
        odd.exchange.answer.subject = None;
        odd.user_info = Some(Operation {
            send: vec![field(&["token"], "{access_token}")],
            answer: Answer { subject: at("/u/0/id"), email: at("/u/0/mail"), error: at("/Code"), ..Answer::default() },
            ..operation(format!("{}/who", odd.issuer), Method::Post, Body::Form)
        });
    };
    let (server, provider) = provider_with(ask).await;
    server.script("/GetTokenFromCode", Reply::json(200, &granted()));
    server.script("/who", Reply::json(200, &json!({"u": [{"id": "u-1", "mail": "a@x.example"}]})));
    let flow = begin(&provider);
    let callback = callback(&provider, &format!("CODE=c&s={}", flow.state.expose()));
    let grant = provider.exchange(&flow, &callback, NOW).await.expect("a grant");
    assert_eq!((grant.user.subject.as_str(), grant.user.email.as_deref()), ("u-1", Some("a@x.example")));
    assert_eq!(server.requests("/who")[0].body, "token=at-0123456789");
    server.script("/who", Reply::json(200, &json!({"Code": "nope at-0123456789"})));
    let fault = provider.exchange(&flow, &callback, NOW).await.expect_err("a fault");
    assert!(
        matches!(&fault, LoginFault::Unidentified(Fault::Said { error, .. }) if error == "nope [redacted]"),
        "{fault}"
    );
}

#[tokio::test]
async fn an_id_token_that_came_over_tls_is_believed_but_for_its_signature() {
    let trusting = |odd: &mut CustomSettings| {
        odd.id_token = IdTokenRule::TrustedFromTls;
        odd.code_link = template("https://login.odd.example/start?s={state}&n={nonce}");
    };
    let (server, provider) = provider_with(trusting).await;
    let flow = begin(&provider);
    let callback = callback(&provider, &format!("CODE=c&s={}", flow.state.expose()));
    for (changes, words) in [
        (vec![], ""),
        (vec![("nonce", json!("other"))], "nonce"),
        (vec![("aud", json!("other"))], "aud"),
        (vec![("iss", json!("https://evil.example"))], "another issuer"),
        (vec![("exp", json!(NOW.0 - 100))], "expired"),
    ] {
        let claims: Vec<_> = [("nonce", json!(flow.nonce.expose()))].into_iter().chain(changes).collect();
        let mut answer = granted();
        answer["Data"]["IdToken"] = server.id_token(&claims).expose().into();
        server.script("/GetTokenFromCode", Reply::json(200, &answer));
        let outcome = provider.exchange(&flow, &callback, NOW).await;
        match outcome {
            Ok(grant) => {
                assert_eq!(words, "");
                assert_eq!((grant.user.subject.as_str(), grant.user.name.as_str()), ("u-1", "alice"));
                assert!(grant.tokens.id.is_some());
            }
            Err(fault) => assert!(!words.is_empty() && fault.to_string().contains(words), "{fault}"),
        }
    }
}

#[tokio::test]
async fn tokens_that_nobody_will_use_are_left_alone_where_a_sign_out_ends_everything() {
    let (server, provider) = provider_with(|odd| odd.sign_out_ends_user = true).await;
    provider.discard(&before(&server).tokens.expect("tokens"), NOW).await;
    assert_eq!(server.count("/GlobalSignOut"), 0);
}
