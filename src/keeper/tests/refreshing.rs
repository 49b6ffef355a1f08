//! The order of a refresh, and who gets what of it.

use futures_util::FutureExt as _;
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
async fn what_is_due_while_the_store_takes_no_writes_is_begun_when_it_does_and_not_before() {
    let home = Home::new().await;
    home.sleep_until(250);
    home.store.take_only(0);
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.attend_to_all_due().await, 0, "it keeps its place");
    home.store.recover();
    home.keeper.line_up(home.clock.now()).await.unwrap();
    home.keeper.lanes_at_rest().await;
    assert_eq!(home.session().refreshes, 1);
}

#[tokio::test]
async fn tokens_that_cannot_be_written_are_served_from_memory_and_written_once_they_can_be() {
    let home = Home::new().await;
    home.sleep_until(200);
    home.store.take_only(1);
    assert_eq!(home.attend(Wish::Due).await, Ok(Attended::Renewed));
    assert_eq!(home.token().as_deref(), Some("at-new"), "the one before may be dead at the provider");
    assert_eq!(home.session().generation, 1, "the store has not got it");
    // Whoever needs a still newer one has to wait for the store, and the provider is left alone.
    assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::StoreDown { .. })));
    assert_eq!((home.posts(), home.token().as_deref()), (1, Some("at-new")));

    home.store.recover();
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.posts(), 1, "the refresh token is not spent twice");
    assert_eq!(home.session().tokens.unwrap().refresh, Some(Secret::from("rt-new-0123456789")));
    assert_eq!((home.session().generation, home.token().as_deref()), (2, Some("at-new")));
    assert_eq!(home.vault.unsettled().unwrap(), []);
    assert_eq!(home.attend_to_all_due().await, 0);
}

#[tokio::test]
async fn a_stop_has_what_waits_written_as_soon_as_the_store_takes_it_and_knows_what_is_left() {
    let home = Home::new().await;
    home.store.take_only(1);
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
    home.stop.cancel();
    let mut written = std::pin::pin!(home.keeper.write_what_waits());
    assert_eq!(written.as_mut().now_or_never(), None);
    assert_eq!(home.keeper.unwritten(), [home.id]);
    home.store.recover();
    written.await;
    assert_eq!(home.keeper.unwritten(), []);
    assert_eq!((home.session().generation, home.posts()), (2, 1));
    assert_eq!(home.vault.unsettled().unwrap(), []);
}

#[tokio::test]
async fn an_answer_that_still_cannot_be_written_does_not_ring_for_another_try() {
    let home = Home::new().await;
    home.sleep_until(200);
    home.store.take_only(1);
    assert_eq!(home.attend(Wish::Due).await, Ok(Attended::Renewed));
    assert_eq!(home.keeper.agenda_changed().now_or_never(), Some(()), "there is something new to show");
    assert!(matches!(home.attend(Wish::Due).await, Err(KeeperError::StoreDown { .. })));
    assert_eq!(home.keeper.agenda_changed().now_or_never(), None);
}

#[tokio::test]
async fn what_waits_to_be_written_is_served_by_an_emptied_cache_too() {
    let home = Home::new().await;
    home.store.take_only(1);
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
    // As after the store was opened again, before the agenda was looked at.
    home.store.recover();
    home.keeper.cache.clear();
    assert_eq!(home.token().as_deref(), Some("at-new"));
    assert_eq!(home.session().generation, 1);
}

#[tokio::test]
async fn a_refusal_that_cannot_be_written_is_told_and_nothing_is_served_after_it() {
    let home = Home::new().await;
    home.token();
    home.store.take_only(1);
    home.server.script("/token", error("invalid_grant"));
    assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::StoreDown { .. })));
    assert_eq!(home.token(), None);
    home.store.recover();
    assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::LoginRequired { .. })));
    assert_eq!((home.posts(), home.session().tokens), (1, None));
}

#[tokio::test]
async fn a_logout_after_tokens_that_could_not_be_written_stands_and_revokes_them() {
    let home = Home::new().await;
    home.store.take_only(1);
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
    home.store.recover();
    let done = home.keeper.logout(permit(Action::Logout), home.id, &peer(1000)).await.unwrap();
    assert_eq!(done.revoked, tokenkeeper_protocol::reply::Revocation::Done);
    assert_eq!(home.token(), None);
    assert_eq!(home.revoked(), ["rt-new-0123456789", "at-new"]);
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
