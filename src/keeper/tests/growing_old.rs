//! Active, needs login, ended, gone.

use tokio_util::sync::CancellationToken;

use super::*;
use crate::domain::{EndReason, LoginReason, State};

const DAY: u64 = 86_400;

async fn prune(home: &Home) -> usize {
    home.keeper.prune(&CancellationToken::new()).await.unwrap()
}

#[tokio::test]
async fn a_session_ages_step_by_step_and_is_revoked_before_it_is_gone() {
    let home = Home::with(|_| {}, |session| session.due_at = None).await;
    home.token();
    home.sleep_until(30 * DAY - 1);
    assert_eq!(prune(&home).await, 0);
    home.sleep_until(30 * DAY);
    assert_eq!(prune(&home).await, 1);
    let reason = LoginReason::SessionTooOld;
    assert_eq!(home.session().state, State::NeedsLogin { reason, since: at(30 * DAY) });
    assert_eq!(home.token(), None);
    home.server.script("/revoke", Reply::text(503, "text/plain", ""));
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.revoked(), ["rt-old-0123456789"]);

    home.sleep_until(37 * DAY);
    assert_eq!(prune(&home).await, 1);
    assert_eq!(home.session().state, State::Ended { reason: EndReason::TooOld, since: at(37 * DAY) });
    home.sleep_until(44 * DAY);
    assert_eq!(prune(&home).await, 0, "not before the provider was told");
    home.server.script("/revoke", Reply::text(200, "text/plain", ""));
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.session().tokens, None);
    assert_eq!(prune(&home).await, 1);
    assert!(matches!(home.keeper.look(home.id), Ok(Look::Absent)));
    assert_eq!(prune(&home).await, 0);
}

#[tokio::test]
async fn a_provider_that_never_takes_a_revocation_does_not_keep_a_session_for_ever() {
    let home = Home::with(|_| {}, |session| session.due_at = None).await;
    home.server.script("/revoke", Reply::text(503, "text/plain", ""));
    home.sleep_until(30 * DAY);
    assert_eq!(prune(&home).await, 1);
    home.sleep_until(37 * DAY);
    assert_eq!(prune(&home).await, 1);
    home.sleep_until(67 * DAY - 1);
    assert_eq!(prune(&home).await, 0, "not before the provider was told");
    home.sleep_until(67 * DAY);
    assert_eq!(prune(&home).await, 1);
    assert!(matches!(home.keeper.look(home.id), Ok(Look::Absent)));
}

#[tokio::test]
async fn a_session_at_its_end_is_not_refreshed_any_more() {
    let home = Home::with(|_| {}, |session| session.ends_at = at(250)).await;
    home.sleep_until(250);
    assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::LoginRequired { .. })));
    assert_eq!(home.posts(), 0);
    assert!(matches!(home.session().state, State::NeedsLogin { reason: LoginReason::SessionTooOld, .. }));
}

#[tokio::test]
async fn without_a_place_to_revoke_the_tokens_are_forgotten() {
    let home = Home::with(|_| {}, |session| session.user.issuer = "https://former.example".to_owned()).await;
    home.sleep_until(30 * DAY);
    prune(&home).await;
    home.attend_to_all_due().await;
    assert_eq!(home.session().tokens, None);
    assert_eq!(home.revoked().len(), 0, "another issuer does not get to see them");
}

#[tokio::test]
async fn pruning_stops_when_it_is_told_and_fails_when_the_store_does() {
    let home = Home::new().await;
    home.sleep_until(30 * DAY);
    let stop = CancellationToken::new();
    stop.cancel();
    assert_eq!(home.keeper.prune(&stop).await, Ok(0));
    home.store.take_only(0);
    let failed = home.keeper.prune(&CancellationToken::new()).await;
    assert!(matches!(failed, Err(KeeperError::StoreDown { .. })));
    home.store.recover();
    assert_eq!(prune(&home).await, 1);
}
