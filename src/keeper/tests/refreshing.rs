//! The order of a refresh, and who gets what of it.

use futures_util::future::join_all;
use tokenkeeper_protocol::Secret;

use super::*;

#[tokio::test]
async fn the_intent_is_durable_before_the_post_and_the_tokens_before_they_are_served() {
    let home = Home::new().await;
    assert_eq!(home.token().as_deref(), Some("at-old-0123456789"));
    home.sleep_until(200);
    let bell = home.hold(renewal());
    let flight = home.keeper.attend(home.id, Wish::Due);
    until(|| home.posts() == 1).await;
    assert_eq!(home.vault.unsettled().unwrap().len(), 1, "the provider is asked when the intent is durable");
    assert_eq!(home.session().generation, 1);
    assert_eq!(home.token().as_deref(), Some("at-old-0123456789"), "the old token is served meanwhile");

    bell.notify_one();
    assert_eq!(flight.outcome().await, Ok(Attended::Renewed));
    let session = home.session();
    let tokens = session.tokens.as_ref().unwrap();
    assert_eq!(tokens.refresh, Some(Secret::from("rt-new-0123456789")));
    assert_eq!((session.generation, session.refreshes), (2, 1));
    assert_eq!((tokens.access.obtained_at, tokens.access.expires_at), (at(200), at(500)));
    let due = session.due_at.unwrap();
    assert!(at(200 + 195) <= due && due <= at(200 + 225), "70% of 300 s, give or take 5%: {due:?}");
    assert_eq!(home.vault.unsettled().unwrap(), []);
    assert_eq!(home.token().as_deref(), Some("at-new"));
    assert_eq!(home.posts(), 1);
}

#[tokio::test]
async fn a_token_that_was_replaced_is_held_by_nobody_once_the_refresh_is_acknowledged() {
    let home = Home::new().await;
    home.token();
    for _ in 0..100 {
        home.keeper.glance(home.id);
    }
    let old = std::sync::Arc::downgrade(&home.keeper.glance(home.id).unwrap());
    home.sleep_until(200);
    assert_eq!(home.attend(Wish::Due).await, Ok(Attended::Renewed));
    assert_eq!(home.keeper.glance(home.id).unwrap().generation, 2);
    assert!(old.upgrade().is_none(), "the old token is still in memory");
}

#[tokio::test]
async fn a_store_that_takes_no_writes_costs_no_refresh_token() {
    let home = Home::new().await;
    home.sleep_until(200);
    home.store.take_only(0);
    assert!(matches!(home.attend(Wish::Due).await, Err(KeeperError::StoreDown { .. })));
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.posts(), 0);
    home.store.recover();
    assert_eq!(home.attend(Wish::Due).await, Ok(Attended::Renewed));
}

#[tokio::test]
async fn tokens_that_cannot_be_written_are_served_to_nobody_and_written_once_they_can_be() {
    let home = Home::new().await;
    home.sleep_until(200);
    home.store.take_only(1);
    assert!(matches!(home.attend(Wish::Due).await, Err(KeeperError::StoreDown { .. })));
    assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::StoreDown { .. })));
    assert_eq!(home.token().as_deref(), Some("at-old-0123456789"));
    assert_eq!(home.session().generation, 1);

    home.store.recover();
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.posts(), 1, "the refresh token is not spent twice");
    assert_eq!(home.session().tokens.unwrap().refresh, Some(Secret::from("rt-new-0123456789")));
    assert_eq!(home.token().as_deref(), Some("at-new"));
    assert_eq!(home.vault.unsettled().unwrap(), []);
    assert_eq!(home.attend_to_all_due().await, 0);
}

#[tokio::test]
async fn a_caller_gets_what_waited_to_be_written_without_another_post() {
    let home = Home::new().await;
    home.store.take_only(1);
    assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::StoreDown { .. })));
    home.store.recover();
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
    assert_eq!((home.posts(), home.token().as_deref()), (1, Some("at-new")));
}

#[tokio::test]
async fn everybody_who_wants_a_new_token_waits_for_the_same_post() {
    let home = Home::new().await;
    let bell = home.hold(renewal());
    let flights: Vec<_> = (0..50).map(|_| home.keeper.attend(home.id, Wish::NewToken).outcome()).collect();
    until(|| home.posts() == 1).await;
    // One who hangs up cancels nothing.
    drop(home.keeper.attend(home.id, Wish::NewToken));
    bell.notify_one();
    assert!(join_all(flights).await.iter().all(|outcome| *outcome == Ok(Attended::Renewed)));
    assert_eq!(home.posts(), 1);
}

#[tokio::test]
async fn nothing_is_refreshed_before_it_is_due_unless_somebody_asks() {
    let home = Home::new().await;
    home.sleep_until(199);
    assert_eq!(home.attend(Wish::Due).await, Ok(Attended::NothingDue));
    assert_eq!(home.attend_to_all_due().await, 0);
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
}

#[tokio::test]
async fn what_does_not_come_anew_stays_as_it_was() {
    let home = Home::new().await;
    home.server.script("/token", Reply::json(200, &json!({"access_token": "at-new", "expires_in": 300})));
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
    assert_eq!(home.session().tokens.unwrap().refresh, Some(Secret::from("rt-old-0123456789")));
}

#[tokio::test]
async fn a_token_that_lives_a_second_is_not_fetched_in_a_loop() {
    let home = Home::new().await;
    home.server.script("/token", Reply::json(200, &json!({"access_token": "at-new", "expires_in": 1})));
    home.sleep_until(200);
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.session().due_at, Some(at(201)));
    assert_eq!(home.attend_to_all_due().await, 0);
}
