//! The store is moved to another host: what is under way ends first, nothing begins meanwhile, and nothing ever after.

use super::*;
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
