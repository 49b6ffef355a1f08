//! What is learned of a provider's refresh tokens, and what follows from it when an answer is lost.

use super::*;
use crate::domain::State;

/// Refreshes so many times, and forgets nothing.
async fn refresh(home: &Home, times: usize) {
    for _ in 0..times {
        assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
    }
}

fn kept() -> Reply {
    Reply::json(200, &json!({"access_token": "at-new", "expires_in": 300}))
}

/// Loses an answer; returns whether the token was sent again at once.
async fn is_sent_again(home: &Home) -> bool {
    let posts = home.posts();
    home.server.script("/token", Reply::HangUpAfter);
    assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::ProviderDown { .. })));
    home.posts() == posts + 2
}

#[tokio::test]
async fn where_refresh_tokens_have_stayed_for_long_a_lost_answer_is_asked_for_again_at_once() {
    let home = Home::new().await;
    home.server.script("/token", kept());
    refresh(&home, 20).await;
    assert!(!home.vault.reuse(&home.session().provider).unwrap().unwrap().rotates);
    assert!(is_sent_again(&home).await);
    let session = home.session();
    assert!(session.due_at.unwrap() < session.tokens.unwrap().access.expires_at, "and not only at the expiry");
}

#[tokio::test]
async fn a_few_that_stayed_say_nothing() {
    let home = Home::new().await;
    home.server.script("/token", kept());
    refresh(&home, 5).await;
    assert_eq!(home.vault.reuse(&home.session().provider).unwrap(), None);
    assert!(!is_sent_again(&home).await);
}

#[tokio::test]
async fn what_is_configured_counts_until_a_refresh_token_changes() {
    let home = Home::with(|settings| settings.rotates = Some(false), |_| {}).await;
    assert!(is_sent_again(&home).await, "nothing was seen of it yet");
    let home = Home::with(|settings| settings.rotates = Some(false), |_| {}).await;
    home.server.script("/token", renewal());
    refresh(&home, 1).await;
    assert!(!is_sent_again(&home).await, "it was seen to rotate");
    let home = Home::with(|settings| settings.rotates = Some(true), |_| {}).await;
    home.server.script("/token", kept());
    refresh(&home, 20).await;
    assert!(!is_sent_again(&home).await, "it may rotate rarely");
}

#[tokio::test]
async fn one_answer_is_one_however_often_it_has_to_be_written() {
    let home = Home::new().await;
    home.server.script("/token", kept());
    home.store.take_only(1);
    refresh(&home, 1).await;
    for _ in 0..25 {
        assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::StoreDown { .. })));
    }
    home.store.recover();
    refresh(&home, 1).await;
    assert_eq!((home.posts(), home.vault.reuse(&home.session().provider).unwrap()), (1, None));
}

#[tokio::test]
async fn one_that_changed_says_all_and_is_not_forgotten() {
    let home = Home::new().await;
    home.server.script("/token", kept());
    refresh(&home, 20).await;
    home.server.script("/token", renewal());
    refresh(&home, 1).await;
    assert!(home.vault.reuse(&home.session().provider).unwrap().unwrap().rotates);
    home.server.script("/token", kept());
    refresh(&home, 19).await;
    assert!(home.vault.reuse(&home.session().provider).unwrap().unwrap().rotates, "not by nineteen");
    assert!(!is_sent_again(&home).await);
}

/// As after a new login.
async fn log_in(home: &Home) {
    let tokens = crate::provider::scripted::session(home.server.url()).tokens;
    home.edit(|session| {
        (session.state, session.tokens) = (State::Active, tokens);
        (session.trouble, session.due_at) = (None, Some(at(200)));
    })
    .await;
}

/// A session whose answer is lost, and whose second request, at once, is answered like this.
async fn lost_then(home: &Home, reply: Reply) {
    log_in(home).await;
    let posts = home.posts();
    let bell = home.hold(Reply::HangUpAfter);
    let (outcome, ()) = tokio::join!(home.attend(Wish::NewToken), async {
        until(|| home.posts() == posts + 1).await;
        home.server.script("/token", reply);
        bell.notify_one();
    });
    assert_eq!(home.posts(), posts + 2, "it is within the grace: {outcome:?}");
}

#[tokio::test]
async fn a_grace_within_which_refresh_tokens_are_refused_again_and_again_is_not_believed_any_more() {
    let home = Home::with(|settings| settings.reuse_grace = Duration::from_secs(30), |_| {}).await;
    let provider = home.session().provider;
    for _ in 0..2 {
        lost_then(&home, error("invalid_grant")).await;
    }
    lost_then(&home, renewal()).await;
    assert_eq!(home.vault.grace(&provider).unwrap().unwrap().refusals, 0, "it forgave one");
    for _ in 0..3 {
        lost_then(&home, error("invalid_grant")).await;
    }
    assert_eq!(home.vault.grace(&provider).unwrap().unwrap().refusals, 3, "the next run knows it, too");

    log_in(&home).await;
    assert!(!is_sent_again(&home).await);
    assert_eq!(home.session().due_at, Some(at(300)), "once, when nothing is left to lose");

    // Another value in the configuration is believed until it is refuted.
    let longer = Arc::new(home.server.provider_with(|settings| settings.reuse_grace = Duration::from_mins(1)));
    home.keeper.replace_providers(Providers::from([(provider, longer)]), RETENTION);
    lost_then(&home, renewal()).await;
}
