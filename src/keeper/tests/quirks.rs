//! What providers do that no standard foresees: none of it costs a session, and no dead token is handed out.

#![expect(clippy::disallowed_methods, reason = "these tests race tasks that nobody else waits for")]

use super::*;
use crate::keeper::Look;

/// The session after one refresh that was answered like this.
async fn refreshed_by(answer: Value) -> Home {
    let home = Home::new().await;
    home.sleep_until(200);
    home.server.script("/token", Reply::json(200, &answer));
    assert_eq!(home.attend(Wish::Due).await, Ok(Attended::Renewed), "{answer}");
    home
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn once_anybody_was_told_of_a_refresh_nobody_is_given_the_token_that_it_killed() {
    let home = Arc::new(Home::new().await);
    for round in 0..50 {
        home.server
            .script("/token", Reply::json(200, &json!({"access_token": format!("at-{round}"), "expires_in": 300})));
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let home = Arc::clone(&home);
                tokio::spawn(async move {
                    let told = home.keeper.attend(home.id, Wish::NewToken).outcome();
                    // Hot requests that race with the publication: they read the record too, and fill the cache.
                    for _ in 0..20 {
                        drop(home.token());
                    }
                    told.await.unwrap();
                    home.token()
                })
            })
            .collect();
        for reader in readers {
            // A reader that came after the landing had a flight of its own, of the same answer.
            assert_eq!(reader.await.unwrap(), Some(format!("at-{round}")));
        }
    }
}

#[tokio::test]
async fn tokens_that_come_with_the_id_token_of_somebody_else_are_neither_kept_nor_served_and_that_is_told() {
    for (claim, words) in [
        (("sub", json!("u-2")), "an ID token of another user"),
        (("iss", json!("https://evil.example")), "of another issuer"),
    ] {
        let home = Home::new().await;
        home.sleep_until(200);
        let id = home.server.id_token(&[("exp", json!(at(900).0)), claim]);
        let answer = json!({"access_token": "at-new", "refresh_token": "rt-new-0123456789", "id_token": id.expose()});
        home.server.script("/token", Reply::json(200, &answer));
        let error = home.attend(Wish::Due).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        // Whose tokens came is not known, so that they must not be anybody's. The session is kept: its own refresh token is
        // tried once more, when nothing is left to lose.
        let session = home.session();
        assert!(session.state.is_active() && session.trouble.unwrap().what.contains(words));
        assert_eq!(session.tokens.unwrap().refresh, Some(Secret::from("rt-old-0123456789")));
        assert_eq!((home.token().as_deref(), session.due_at), (Some("at-old-0123456789"), Some(at(300))));
        assert_eq!(home.vault.unsettled().unwrap(), []);
    }
}

#[tokio::test]
async fn a_life_that_gets_shorter_towards_the_end_of_the_grant_is_followed() {
    let home = refreshed_by(json!({"access_token": "at-new", "expires_in": 40})).await;
    let session = home.session();
    assert_eq!(session.tokens.unwrap().access.expires_at, at(240));
    assert_eq!(session.due_at, Some(at(220)), "half of it, as for every short life");
    let Look::Live(live) = home.keeper.look(home.id).unwrap() else { panic!("not live") };
    assert_eq!(live.default_min_valid(), Duration::from_secs(8));
}

#[tokio::test]
async fn a_refresh_asks_for_no_scope_so_that_none_can_be_refused() {
    let home = refreshed_by(json!({"access_token": "at-new", "expires_in": 300})).await;
    let requests = home.server.requests("/token");
    assert_eq!(requests[0].field("scope"), None);
    assert!(!requests[0].body.contains("offline_access"));
}

#[tokio::test]
async fn an_answer_without_anything_but_a_token_keeps_all_that_was_known() {
    let home = Home::new().await;
    let before = home.session().tokens.unwrap();
    home.sleep_until(200);
    home.server.script("/token", Reply::json(200, &json!({"access_token": "at-new", "token_type": "bearer"})));
    assert_eq!(home.attend(Wish::Due).await, Ok(Attended::Renewed));
    let after = home.session().tokens.unwrap();
    assert_eq!((after.refresh, after.id), (before.refresh, before.id));
    assert_eq!(after.access.scope, before.access.scope);
    assert_eq!(after.access.life(), before.access.life(), "the last life known");
}

#[tokio::test]
async fn a_life_may_be_a_text() {
    let home = refreshed_by(json!({"access_token": "at-new", "expires_in": "120"})).await;
    assert_eq!(home.session().tokens.unwrap().access.expires_at, at(320));
}

#[tokio::test]
async fn a_gateway_that_gives_up_may_have_passed_the_token_on() {
    for status in [502, 504] {
        let home = Home::new().await;
        home.sleep_until(200);
        home.server.script("/token", Reply::text(status, "text/html", "<h1>Gateway</h1>"));
        assert!(home.attend(Wish::Due).await.is_err());
        assert_eq!(home.session().trouble.unwrap().unknown_since, Some(at(200)));
        assert_eq!(home.session().due_at, Some(at(300)), "once, when nothing is left to lose");
    }
}

#[tokio::test]
async fn errors_that_are_pages_or_nothing_at_all_end_no_session() {
    for reply in [
        Reply::text(403, "text/html", "<html>blocked</html>"),
        Reply::text(403, "text/plain", ""),
        Reply::text(400, "text/html", "<html>Bad Request</html>"),
        Reply::text(401, "application/json", ""),
        Reply::text(500, "application/json", ""),
    ] {
        let home = Home::new().await;
        home.sleep_until(200);
        home.server.script("/token", reply.clone());
        assert!(home.attend(Wish::Due).await.is_err());
        let session = home.session();
        assert!(session.state.is_active() && session.trouble.unwrap().unknown_since.is_none(), "{reply:?}");
        home.server.script("/token", renewal());
        home.sleep_until(299);
        assert_eq!(home.attend(Wish::Due).await, Ok(Attended::Renewed), "{reply:?}");
    }
}
