//! The ID token that comes with a refresh, and the keys that prove it.

use super::*;

async fn refreshed_with(server: &Server, changes: &[(&str, Value)]) -> RefreshOutcome {
    let id = server.id_token(changes);
    server.script("/token", Reply::json(200, &json!({"access_token": "at-new", "id_token": id.expose()})));
    refresh(&server.provider(), &session(server.url()), NOW).await
}

#[tokio::test]
async fn an_id_token_of_the_same_login_is_kept() {
    let server = Server::oidc().await;
    let tokens = renewed(refreshed_with(&server, &[("auth_time", json!(NOW.0)), ("nonce", json!("old"))]).await);
    assert!(tokens.id.is_some());
    assert!(renewed(refreshed_with(&server, &[]).await).id.is_some());
}

#[tokio::test]
async fn an_id_token_that_proves_nothing_is_not_kept_and_costs_no_session() {
    for change in [
        // django-oauth-toolkit gives the access token of a lost answer again, beside an ID token that is made for another.
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        // A clock that is a day off, here or there.
        ("exp", json!(NOW.0 - 86_400)),
        ("iat", json!(NOW.0 + 86_400)),
        ("exp", json!("soon")),
    ] {
        let server = Server::oidc().await;
        let tokens = renewed(refreshed_with(&server, std::slice::from_ref(&change)).await);
        assert_eq!((tokens.access.token.expose(), tokens.id), ("at-new", None), "{change:?}");
    }
    for signer in [Signer::ed25519("unpublished"), Signer::hmac("s3cr3t"), Signer::None] {
        let mut server = Server::oidc().await;
        server.signer = signer;
        assert_eq!(renewed(refreshed_with(&server, &[]).await).id, None);
    }
}

#[tokio::test]
async fn tokens_of_another_user_client_or_issuer_are_not_used_whether_or_not_that_is_proven() {
    for (change, words) in [
        (("sub", json!("u-2")), "of another user"),
        (("auth_time", json!(NOW.0 + 9)), "of another login"),
        (("aud", json!("other")), "meant for another client"),
        (("azp", json!("other")), "made for another client"),
        (("iss", json!("https://evil.example")), "of another issuer"),
    ] {
        let server = Server::oidc().await;
        let outcome = refreshed_with(&server, std::slice::from_ref(&change)).await;
        assert!(matches!(&outcome, RefreshOutcome::Unknown(fault) if fault.to_string().contains(words)), "{outcome:?}");
    }
    let expired = [("sub", json!("u-2")), ("exp", json!(NOW.0 - 86_400))];
    let mut server = Server::oidc().await;
    assert!(matches!(refreshed_with(&server, &expired).await, RefreshOutcome::Unknown(_)));
    server.signer = Signer::None;
    assert!(matches!(refreshed_with(&server, &expired).await, RefreshOutcome::Unknown(_)));
    server.script("/jwks", Reply::text(503, "text/plain", ""));
    for change in [("sub", json!("u-2")), ("aud", json!("other")), ("iss", json!("https://evil.example"))] {
        assert!(matches!(refreshed_with(&server, &[change]).await, RefreshOutcome::Unknown(_)));
    }
}

#[tokio::test]
async fn a_wrong_signature_counts_if_the_keys_are_new_and_only_then() {
    let mut server = Server::oidc().await;
    let provider = server.provider();
    let answer = |server: &Server| {
        let id = server.id_token(&[]);
        server.script("/token", Reply::json(200, &json!({"access_token": "at-new", "id_token": id.expose()})));
    };
    answer(&server);
    assert!(renewed(refresh(&provider, &session(server.url()), NOW).await).id.is_some());
    server.signer = Signer::ed25519("k1");
    answer(&server);
    let outcome = refresh(&provider, &session(server.url()), NOW + Duration::from_secs(30)).await;
    assert!(
        matches!(&outcome, RefreshOutcome::Unknown(fault) if fault.to_string().contains("signature")),
        "{outcome:?}"
    );
    // A key may have been replaced under its name.
    server.script("/jwks", Reply::text(503, "text/plain", ""));
    let outcome = refresh(&provider, &session(server.url()), NOW + Duration::from_mins(2)).await;
    assert_eq!(renewed(outcome).id, None);
}

#[tokio::test]
async fn keys_that_are_replaced_as_soon_as_they_were_fetched_cost_nothing() {
    for name in ["k1", "k2"] {
        let mut server = Server::oidc().await;
        let provider = server.provider();
        assert!(renewed(answered_by(&server, &provider, 0).await).id.is_some());
        server.signer = Signer::ed25519(name);
        server.publish(&server.signer);
        assert!(renewed(answered_by(&server, &provider, 1).await).id.is_some(), "{name}");
        assert_eq!(server.count("/jwks"), 2);
        // Once more so soon is too often, be it a mix-up or not.
        server.signer = Signer::ed25519("k3");
        server.publish(&server.signer);
        assert_eq!(renewed(answered_by(&server, &provider, 60).await).id, None);
        assert!(renewed(answered_by(&server, &provider, 61).await).id.is_some());
        assert_eq!(server.count("/jwks"), 3);
    }
}

/// A refresh so many seconds later that brings an ID token of now.
async fn answered_by(server: &Server, provider: &Provider, second: u64) -> RefreshOutcome {
    let id = server.id_token(&[]);
    server.script("/token", Reply::json(200, &json!({"access_token": "at-new", "id_token": id.expose()})));
    refresh(provider, &session(server.url()), NOW + Duration::from_secs(second)).await
}

#[tokio::test]
async fn an_id_token_with_another_nonce_than_the_one_at_hand_is_not_kept() {
    for (at_hand, came, is_kept) in [
        (json!("n1"), json!("n1"), true),
        (json!("n1"), json!(null), true),
        (json!(null), json!("n2"), true),
        (json!("n1"), json!("n2"), false),
    ] {
        let server = Server::oidc().await;
        let mut session = session(server.url());
        session.tokens.as_mut().expect("tokens").id = Some(server.id_token(&[("nonce", at_hand.clone())]));
        let id = server.id_token(&[("nonce", came.clone())]);
        server.script("/token", Reply::json(200, &json!({"access_token": "at-new", "id_token": id.expose()})));
        let tokens = renewed(refresh(&server.provider(), &session, NOW).await);
        let kept = tokens.id.is_some();
        assert_eq!((tokens.access.token.expose(), kept), ("at-new", is_kept), "{at_hand} {came}");
    }
}

#[tokio::test]
async fn rotated_tokens_are_not_lost_because_the_keys_cannot_be_had() {
    let server = Server::oidc().await;
    server.script("/jwks", Reply::text(503, "text/plain", ""));
    assert_eq!(renewed(refreshed_with(&server, &[]).await).id, None);
}

#[tokio::test]
async fn a_key_set_that_is_to_be_left_alone_is_and_refreshes_go_on() {
    let server = Server::oidc().await;
    server.script("/jwks", Reply::text(503, "text/plain", "").with("Retry-After", "300"));
    let id = server.id_token(&[]);
    server.script("/token", Reply::json(200, &json!({"access_token": "at-new", "id_token": id.expose()})));
    let provider = server.provider();
    for second in [0, 100, 299] {
        let outcome = refresh(&provider, &session(server.url()), NOW + Duration::from_secs(second)).await;
        assert_eq!(renewed(outcome).access.token.expose(), "at-new");
        assert_eq!(server.count("/jwks"), 1);
    }
    drop(refresh(&provider, &session(server.url()), NOW + Duration::from_secs(300)).await);
    assert_eq!(server.count("/jwks"), 2);
}
