//! The store is moved to another host: what is under way ends first, nothing begins meanwhile, and nothing ever after.

use super::erasing::{begin, done, eraser, user, wait_for};
use super::*;
use crate::keeper::How;
use crate::vault::MovedOut;

async fn move_out(home: &Home) {
    let leaving = home.keeper.leave().await.unwrap();
    let moved = MovedOut { at: NOW, peer: "uid 0".to_owned(), sessions: 1, generation: 1, confirmed: true };
    home.vault.move_out(moved).await.unwrap();
    drop(leaving);
}

#[tokio::test]
async fn a_refresh_that_is_under_way_is_waited_for() {
    let home = Home::new().await;
    home.sleep_until(200);
    let bell = home.hold(renewal());
    let refreshed = home.keeper.attend(home.id, Wish::NewToken);
    until(|| home.posts() == 1).await;
    let (left, ()) = tokio::join!(home.keeper.leave(), async {
        until(|| home.keeper.is_leaving()).await;
        assert_eq!(home.session().refreshes, 0);
        bell.notify_one();
    });
    left.map(drop).unwrap();
    assert_eq!(home.session().refreshes, 1);
    assert_eq!(refreshed.outcome().await, Ok(Attended::Renewed));
}

#[tokio::test(start_paused = true)]
async fn a_move_that_waits_in_vain_says_so_and_everything_goes_on() {
    let home = Home::new().await;
    let work = home.keeper.begin_work().unwrap();
    let told = home.keeper.leave().await.map(drop).unwrap_err();
    assert!(told.to_string().starts_with("the store was not moved out, and everything goes on here"), "{told}");
    drop(work);
    assert!(!home.keeper.is_leaving() && home.keeper.begin_work().is_ok());
}

#[tokio::test]
async fn while_it_leaves_nothing_is_begun_and_if_it_stays_everything_goes_on() {
    let home = Home::new().await;
    home.sleep_until(200);
    let leaving = home.keeper.leave().await.unwrap();
    assert_eq!(home.attend(Wish::NewToken).await, Err(KeeperError::MovingOut));
    assert_eq!((home.attend_to_all_due().await, home.posts()), (0, 0));
    drop(leaving);
    assert_eq!((home.attend_to_all_due().await, home.posts()), (1, 1));
}

#[tokio::test]
async fn a_store_that_left_is_left_alone_until_it_is_brought_back() {
    let home = Home::new().await;
    home.sleep_until(200);
    move_out(&home).await;
    let error = home.attend(Wish::NewToken).await.unwrap_err();
    assert!(matches!(error, KeeperError::MovedOut { .. }) && error.to_string().contains("--cancel"), "{error}");
    home.sleep_until(40 * 86_400);
    assert_eq!((home.attend_to_all_due().await, home.keeper.sweep().await.unwrap()), (0, 0));
    assert_eq!(home.keeper.prune(&home.stop).await.unwrap(), 0, "nobody grows old there");
    assert_eq!(home.posts(), 0);

    home.vault.cancel_move_out("uid 0".to_owned(), NOW).await.unwrap();
    home.keeper.stay().await.unwrap();
    assert!(!home.keeper.is_leaving());
    assert_eq!(home.keeper.prune(&home.stop).await.unwrap(), 1);
}

#[tokio::test]
async fn an_answer_that_waits_to_be_written_does_not_stay_behind() {
    let home = Home::new().await;
    home.sleep_until(200);
    home.store.take_only(1);
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed), "it is served from memory");
    assert!(matches!(home.keeper.leave().await.map(drop), Err(KeeperError::StoreDown { .. })));
    home.store.recover();
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed), "it is written, and everything goes on");
}

#[tokio::test]
async fn at_a_store_that_left_nothing_is_revoked_or_removed_until_it_is_brought_back() {
    let home = Home::new().await;
    home.server.script("/revoke", Reply::text(503, "text/plain", ""));
    let eraser = eraser(&home, "age1host");
    let begun = begin(&eraser, &user(&home), How::default()).await.unwrap();
    wait_for(&home, &eraser, &begun.id, true, |now| now.waiting.is_some()).await;
    move_out(&home).await;
    home.server.script("/revoke", Reply::text(200, "text/plain", ""));
    home.sleep_until(600);
    let asked = home.server.count("/revoke");
    let refused = begin(&eraser, &user(&home), How { at_once: true, forced: false }).await.unwrap_err();
    assert!(matches!(refused, KeeperError::MovedOut { .. }), "{refused}");
    let says_so = |why: &String| *why == home.keeper.why_leaving().to_string();
    wait_for(&home, &eraser, &begun.id, true, |now| now.waiting.as_ref().is_some_and(says_so)).await;
    assert!(home.session().tokens.is_some() && home.server.count("/revoke") == asked);

    home.vault.cancel_move_out("uid 0".to_owned(), NOW).await.unwrap();
    home.keeper.stay().await.unwrap();
    done(&home, &eraser, &begun.id).await;
    assert_eq!((home.vault.session(home.id).unwrap(), home.server.count("/revoke")), (None, asked + 1));
}

#[tokio::test]
async fn an_erasure_ends_what_it_is_doing_and_gives_way_to_the_move() {
    let home = Home::new().await;
    let bell = Arc::new(Notify::new());
    let done = Reply::text(200, "text/plain", "");
    home.server.script("/revoke", Reply::Held(Arc::clone(&bell), Box::new(done.clone())));
    let eraser = eraser(&home, "age1host");
    let begun = begin(&eraser, &user(&home), How { at_once: true, forced: false }).await.unwrap();
    until(|| home.server.count("/revoke") == 1).await;
    home.server.script("/revoke", done);
    let (left, ()) = tokio::join!(home.keeper.leave(), async {
        until(|| home.keeper.is_leaving()).await;
        assert!(home.session().tokens.is_some());
        bell.notify_one();
    });
    let left = left.unwrap();
    assert_eq!(home.session().tokens, None, "what was asked of the provider is known where the store goes");
    let waits = wait_for(&home, &eraser, &begun.id, true, |now| now.waiting.is_some()).await;
    assert_eq!((waits.sessions, home.vault.erasures().unwrap().len()), (0, 1), "and so is the rest of it");
    drop(left);
    super::erasing::done(&home, &eraser, &begun.id).await;
    assert_eq!(home.vault.session(home.id).unwrap(), None, "if the store stays, so does that");
}
