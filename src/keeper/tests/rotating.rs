//! What is learned of a provider's refresh tokens, and what follows from it when an answer is lost.

use super::*;

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
