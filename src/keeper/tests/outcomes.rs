//! What becomes of a session by each outcome of its refresh.

use super::*;
use crate::domain::{LoginReason, Refusal, State};

/// A session after a refresh at 200 s that was answered like this, and what its caller was told.
async fn refreshed(reply: Reply) -> (Home, KeeperError) {
    let home = Home::new().await;
    home.sleep_until(200);
    home.server.script("/token", reply);
    let error = home.attend(Wish::Due).await.unwrap_err();
    assert_eq!(home.posts(), 1);
    assert_eq!(home.vault.unsettled().unwrap(), [], "the outcome is known");
    (home, error)
}

/// A session that lost nothing, and is tried again at this time and not before.
async fn assert_tried_again(home: &Home, seconds: u64) {
    let session = home.session();
    let trouble = session.trouble.clone().unwrap();
    assert_eq!((session.state, session.due_at), (State::Active, Some(at(seconds))));
    assert_eq!((trouble.not_before, trouble.tries), (at(seconds), 1));
    assert_eq!(home.token().as_deref(), Some("at-old-0123456789"), "the live token is still served");
    let posts = home.posts();
    home.sleep_until(seconds - 1);
    for wish in [Wish::Due, Wish::NewToken] {
        let error = home.attend(wish).await.unwrap_err();
        match error {
            KeeperError::ProviderDown { wait, .. } => assert_eq!(wait, Duration::from_secs(1)),
            // Who has to act stays the same for whoever asks meanwhile.
            error => {
                assert!(matches!(error, KeeperError::Misconfigured { .. }) && trouble.needs_administrator, "{error}");
            }
        }
    }
    assert_eq!(home.posts(), posts);
    home.server.script("/token", renewal());
    home.sleep_until(seconds);
    assert_eq!(home.attend_to_all_due().await, 1);
    let session = home.session();
    assert_eq!((session.trouble, session.refreshes), (None, 1));
}

#[tokio::test]
async fn what_the_provider_asks_to_try_later_is_tried_when_it_said() {
    let (home, error) = refreshed(Reply::text(503, "text/html", "").with("Retry-After", "17")).await;
    assert!(matches!(error, KeeperError::ProviderDown { wait, .. } if wait == Duration::from_secs(17)), "{error}");
    assert_tried_again(&home, 217).await;
}

#[tokio::test]
async fn an_answer_without_a_wait_is_followed_by_the_first_backoff() {
    let (home, _) = refreshed(Reply::text(503, "text/html", "")).await;
    assert_tried_again(&home, 201).await;
}

#[tokio::test]
async fn trouble_with_our_registration_is_told_as_such_and_ends_no_session() {
    let (home, error) = refreshed(error("invalid_client")).await;
    assert!(matches!(error, KeeperError::Misconfigured { .. }), "{error}");
    assert_tried_again(&home, 201).await;
}

#[tokio::test]
async fn what_an_administrator_may_have_mended_is_tried_when_somebody_asks() {
    let (home, _) = refreshed(error("invalid_client")).await;
    home.edit(|session| session.trouble.as_mut().unwrap().not_before = at(290)).await;
    home.sleep_until(210);
    assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::Misconfigured { .. })));
    let posts = home.posts();
    let mended = Arc::new(home.server.provider());
    home.keeper.replace_providers(Providers::from([(mended.settings().name.clone(), mended)]), RETENTION);
    assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::Misconfigured { .. })));
    assert_eq!(home.posts(), posts + 1, "it is not mended");
    assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::Misconfigured { .. })));
    assert_eq!(home.posts(), posts + 1, "and not asked again and again");
}

#[tokio::test]
async fn what_was_never_sent_is_tried_again() {
    let home = Home::new().await;
    let token_endpoint = format!("{}/token", home.server.url());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).unwrap();
    home.server.discover("token_endpoint", json!(format!("http://{nobody}/token")));
    home.sleep_until(200);
    assert!(matches!(home.attend(Wish::Due).await, Err(KeeperError::ProviderDown { .. })));
    let session = home.session();
    assert_eq!((session.due_at, session.trouble.unwrap().unknown_since), (Some(at(201)), None));
    assert_eq!(home.vault.unsettled().unwrap(), []);
    // Discovery is asked again after an hour.
    home.server.discover("token_endpoint", json!(token_endpoint));
    home.sleep_until(4000);
    assert_eq!(home.attend(Wish::Due).await, Ok(Attended::Renewed));
}

#[tokio::test]
async fn the_wait_grows_with_every_failure_in_a_row_and_a_success_ends_it() {
    let home = Home::new().await;
    home.server.script("/token", Reply::text(503, "text/html", ""));
    let mut waits = Vec::new();
    for _ in 0..12 {
        let due = home.session().due_at.unwrap();
        home.clock.advance(due.since(home.clock.now()));
        home.attend_to_all_due().await;
        // The breaker has a say of its own.
        while let Some(wait) = home.keeper.next_try() {
            home.clock.advance(wait);
            home.attend_to_all_due().await;
        }
        let session = home.session();
        let tries = session.trouble.unwrap().tries;
        waits.push((tries, session.due_at.unwrap().since(home.clock.now()).as_secs()));
    }
    assert!(waits.iter().all(|(tries, wait)| (1..=300.min(1 << (tries - 1))).contains(wait)), "{waits:?}");
    assert!(waits.last().unwrap().0 >= 12, "{waits:?}");
}

#[tokio::test]
async fn a_refused_refresh_token_means_a_new_login_and_is_told_to_everybody_after() {
    let gone = json!({"error": "invalid_grant", "error_description": "revoked by alice"});
    let (home, error) = refreshed(Reply::json(400, &gone).with("X-Request-Id", "req-77")).await;
    let reason = LoginReason::Refused(Refusal {
        error: "invalid_grant".to_owned(),
        description: Some("revoked by alice".to_owned()),
        correlation: Some("x-request-id req-77".to_owned()),
        tries: 1,
    });
    let session = home.session();
    assert_eq!(session.state, State::NeedsLogin { reason, since: at(200) });
    assert_eq!(error, KeeperError::from(&session));
    assert_eq!((session.tokens, session.due_at, session.trouble), (None, None, None));
    assert_eq!(home.token(), None);
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::NothingDue));
    assert_eq!(home.posts(), 1);
}

#[tokio::test]
async fn without_a_refresh_token_the_session_lasts_as_long_as_its_access_token() {
    let home = Home::with(
        |_| {},
        |session| {
            session.tokens.as_mut().unwrap().refresh = None;
            session.due_at = Some(at(300));
        },
    )
    .await;
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::NothingDue));
    home.sleep_until(300);
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.session().state, State::NeedsLogin { reason: LoginReason::NoRefreshToken, since: at(300) });
    home.attend_to_all_due().await;
    assert_eq!((home.session().tokens, home.posts()), (None, 0));
}
