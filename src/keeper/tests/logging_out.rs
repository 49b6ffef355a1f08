//! The end of a session, alone and in the middle of other things.

use tokenkeeper_protocol::reply::Revocation;

use super::*;
use crate::domain::{EndReason, State};
use crate::vault::Scope;

async fn logout(home: &Home) -> Result<tokenkeeper_protocol::reply::LoggedOut, KeeperError> {
    home.keeper.logout(permit(Action::Logout), home.id, &peer(1000)).await
}

#[tokio::test]
async fn a_logout_tells_the_provider_and_nobody_is_served_again() {
    let home = Home::new().await;
    assert!(home.token().is_some());
    let done = logout(&home).await.unwrap();
    assert_eq!(done.revoked, Revocation::Done);
    assert!(done.end_session_url.unwrap().starts_with(&format!("{}/end?", home.server.url())));
    assert_eq!(home.revoked(), ["rt-old-0123456789", "at-old-0123456789"]);
    let session = home.session();
    assert_eq!(session.state, State::Ended { reason: EndReason::LoggedOut, since: at(0) });
    assert_eq!((session.tokens, session.due_at), (None, None));
    assert_eq!(home.token(), None);
    assert_eq!(logout(&home).await.unwrap().revoked, Revocation::Done, "once more does no harm");
    assert_eq!(home.revoked().len(), 2);
}

#[tokio::test]
async fn the_tombstone_stands_before_the_provider_is_told_and_is_told_again_until_it_hears() {
    let home = Home::new().await;
    home.token();
    home.server.script("/revoke", Reply::text(503, "text/plain", ""));
    assert_eq!(logout(&home).await.unwrap().revoked, Revocation::Pending);
    assert_eq!(home.token(), None);
    assert!(home.session().state.is_ended() && home.session().tokens.is_some());
    let due = home.session().due_at.unwrap();
    assert_eq!(home.attend_to_all_due().await, 0, "not at once");
    home.clock.advance(due.since(home.clock.now()));
    home.server.script("/revoke", Reply::text(200, "text/plain", ""));
    assert_eq!(home.attend_to_all_due().await, 1);
    assert_eq!(home.session().tokens, None);
}

#[tokio::test]
async fn a_store_that_takes_no_tombstone_ends_nothing_and_says_so() {
    let home = Home::new().await;
    home.store.take_only(0);
    assert!(matches!(logout(&home).await, Err(KeeperError::StoreDown { .. })));
    assert_eq!(home.revoked().len(), 0);
    assert!(home.token().is_some());
}

#[tokio::test]
async fn a_logout_after_a_refusal_does_not_claim_that_anything_was_revoked() {
    let home = Home::new().await;
    home.server.script("/token", error("invalid_grant"));
    assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::LoginRequired { .. })));
    for _ in 0..2 {
        assert_eq!(logout(&home).await.unwrap().revoked, Revocation::Unsupported);
    }
    assert_eq!(home.revoked().len(), 0);
}

#[tokio::test]
async fn a_logout_during_a_refresh_revokes_the_tokens_that_it_brings() {
    let home = Home::new().await;
    home.token();
    let bell = home.hold(renewal());
    let flight = home.keeper.attend(home.id, Wish::NewToken);
    until(|| home.posts() == 1).await;
    let (done, ()) = tokio::join!(logout(&home), async {
        until(|| home.session().state.is_ended()).await;
        assert_eq!(home.token(), None, "nobody is served while the refresh is on its way");
        bell.notify_one();
    });
    assert_eq!(flight.outcome().await, Ok(Attended::Renewed));
    assert_eq!(done.unwrap().revoked, Revocation::Done);
    assert_eq!(home.revoked(), ["rt-new-0123456789", "at-new"]);
    assert_eq!((home.session().tokens, home.token()), (None, None));
    assert_eq!(home.vault.unsettled().unwrap(), []);
}

#[tokio::test]
async fn a_logout_during_a_refresh_that_fails_revokes_the_old_tokens() {
    for reply in [error("invalid_grant"), Reply::text(503, "text/html", ""), Reply::HangUpAfter] {
        let home = Home::new().await;
        let bell = home.hold(reply);
        let _flight = home.keeper.attend(home.id, Wish::NewToken);
        until(|| home.posts() == 1).await;
        let (done, ()) = tokio::join!(logout(&home), async {
            until(|| home.session().state.is_ended()).await;
            bell.notify_one();
        });
        assert_eq!(done.unwrap().revoked, Revocation::Done);
        assert_eq!(home.revoked(), ["rt-old-0123456789", "at-old-0123456789"]);
        assert_eq!(home.vault.unsettled().unwrap(), []);
    }
}

#[tokio::test]
async fn a_change_that_is_shown_late_brings_no_ended_session_back() {
    let home = Home::new().await;
    home.token();
    home.edit(|session| session.generation = 2).await;
    home.edit(|session| session.state = State::Ended { reason: EndReason::LoggedOut, since: NOW }).await;
    // The second change is shown first.
    home.keeper.publish(home.id);
    home.keeper.publish(home.id);
    assert!(home.keeper.glance(home.id).is_none());
    assert_eq!(home.token(), None);
}

#[tokio::test]
async fn there_is_nothing_to_end_of_a_session_that_does_not_exist() {
    let home = Home::new().await;
    let stranger = SessionRef::from_random([9; 5]);
    let done = home.keeper.logout(permit(Action::Logout), stranger, &peer(1000)).await;
    assert_eq!(done.unwrap_err(), KeeperError::NoSuchSession { session: stranger });
    assert_eq!(home.vault.page(Scope::All, None, 9).unwrap().sessions.len(), 1);
}

#[tokio::test]
async fn what_a_provider_cannot_revoke_is_said_every_time_it_is_asked_for() {
    let home = Home::new().await;
    home.server.discover("revocation_endpoint", serde_json::Value::Null);
    assert_eq!(logout(&home).await.unwrap().revoked, Revocation::Unsupported);
    assert_eq!(home.session().tokens, None);
    assert_eq!(logout(&home).await.unwrap().revoked, Revocation::Unsupported);
}
