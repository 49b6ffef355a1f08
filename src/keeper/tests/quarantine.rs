//! An old copy of the store was put back: live tokens go on, and a refresh token that may be spent is tried once, at the end.

use super::*;
use crate::domain::{LoginReason, State};

/// The session is due at 200 s, and its token expires at 300 s.
async fn rolled_back() -> Home {
    let home = Home::new().await;
    home.vault.note_rollback(Some(1000), "found older".to_owned(), NOW).await.unwrap();
    home.sleep_until(200);
    home
}

#[tokio::test]
async fn it_is_not_refreshed_ahead_and_its_live_token_is_served() {
    let home = rolled_back().await;
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.session().due_at, Some(at(300)), "the agenda does not come back to it before");
    assert_eq!(home.attend_to_all_due().await, 0);
    let Err(error) = home.attend(Wish::NewToken).await else { panic!("it was refreshed") };
    assert!(matches!(&error, KeeperError::Quarantined { wait, .. } if *wait == Duration::from_secs(100)), "{error}");
    assert_eq!((home.posts(), home.token().as_deref()), (0, Some("at-old-0123456789")));
}

#[tokio::test]
async fn at_its_expiry_it_is_tried_and_a_success_ends_the_quarantine() {
    let home = rolled_back().await;
    home.attend_to_all_due().await;
    home.sleep_until(300);
    home.attend_to_all_due().await;
    assert_eq!((home.posts(), home.token().as_deref()), (1, Some("at-new")));
    assert!(!home.vault.is_quarantined(home.id).unwrap());
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed), "it is refreshed as usual again");
}

#[tokio::test]
async fn a_refusal_at_its_expiry_is_told_as_what_it_is_and_it_is_not_tried_again() {
    let home = rolled_back().await;
    home.sleep_until(300);
    home.server.script("/token", error("invalid_grant"));
    home.attend_to_all_due().await;
    let State::NeedsLogin { reason: LoginReason::RolledBack(refusal), .. } = home.session().state else {
        panic!("{:?}", home.session().state)
    };
    assert_eq!(refusal.error, "invalid_grant");
    home.sleep_until(900);
    home.attend_to_all_due().await;
    assert_eq!(home.posts(), 1);
}

#[tokio::test]
async fn a_provider_that_is_down_at_its_expiry_costs_nothing() {
    let home = rolled_back().await;
    home.sleep_until(300);
    home.server.script("/token", Reply::text(503, "text/html", ""));
    home.attend_to_all_due().await;
    home.server.script("/token", renewal());
    home.sleep_until(310);
    home.attend_to_all_due().await;
    assert_eq!((home.posts(), home.token().as_deref()), (2, Some("at-new")));
}

#[tokio::test]
async fn once_it_is_accepted_everything_is_refreshed_as_usual() {
    let home = rolled_back().await;
    assert!(home.attend(Wish::NewToken).await.is_err());
    home.vault.accept_rollback("uid 0".to_owned(), at(200)).await.unwrap();
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
}
