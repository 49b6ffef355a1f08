//! A refresh token that was sent, and no answer came: it may be spent, and some providers end everything if it comes again.

use super::*;
use crate::domain::session::Trouble;
use crate::domain::{LoginReason, Refusal, State};
use crate::store::{Batch, Store as _, Table};
use crate::vault::Intent;

/// A session whose answer was lost; within a grace, that of the second try at once too.
async fn lost(reuse_grace: u64) -> Home {
    let home = Home::with(|settings| settings.reuse_grace = Duration::from_secs(reuse_grace), |_| {}).await;
    home.sleep_until(200);
    home.server.script("/token", Reply::HangUpAfter);
    assert!(matches!(home.attend(Wish::Due).await, Err(KeeperError::ProviderDown { .. })));
    home
}

fn trouble(home: &Home) -> Trouble {
    home.session().trouble.unwrap()
}

#[tokio::test]
async fn without_grace_it_is_tried_once_when_nothing_is_left_to_lose() {
    let home = lost(0).await;
    assert_eq!((home.session().due_at, trouble(&home).unknown_since), (Some(at(300)), Some(at(200))));
    home.sleep_until(299);
    assert_eq!(home.token().as_deref(), Some("at-old-0123456789"), "the live token is served until then");
    assert!(home.attend(Wish::NewToken).await.is_err());
    assert_eq!(home.posts(), 1);
    home.sleep_until(300);
    home.server.script("/token", renewal());
    home.attend_to_all_due().await;
    assert_eq!((home.posts(), home.token().as_deref()), (2, Some("at-new")));
    assert_eq!(home.session().trouble, None);
}

#[tokio::test]
async fn within_the_grace_it_is_tried_again_at_once() {
    for wish in [Wish::Due, Wish::NewToken] {
        let home = Home::with(|settings| settings.reuse_grace = Duration::from_secs(30), |_| {}).await;
        home.sleep_until(200);
        let bell = home.hold(Reply::HangUpAfter);
        let (outcome, ()) = tokio::join!(home.attend(wish), async {
            until(|| home.posts() == 1).await;
            home.server.script("/token", renewal());
            bell.notify_one();
        });
        assert_eq!(outcome, Ok(Attended::Renewed), "who waits for it goes on waiting");
        assert_eq!((home.posts(), home.token().as_deref()), (2, Some("at-new")));
    }
}

#[tokio::test]
async fn within_the_grace_it_is_not_hammered_with() {
    let home = lost(30).await;
    assert_eq!((home.posts(), trouble(&home).tries), (2, 2));
    let due = home.session().due_at.unwrap();
    assert!(at(201) <= due && due <= at(202), "{due:?}");
    assert_eq!(home.attend_to_all_due().await, 0);
}

#[tokio::test]
async fn a_try_that_comes_too_late_for_the_grace_waits_for_the_expiry_instead() {
    for wish in [Wish::Due, Wish::NewToken] {
        let home = lost(30).await;
        home.server.script("/token", renewal());
        // The machine slept meanwhile.
        home.sleep_until(230);
        assert!(matches!(home.attend(wish).await, Err(KeeperError::ProviderDown { .. })));
        assert_eq!(home.posts(), 2);
        assert_eq!(home.session().due_at, Some(at(300)));
        assert_eq!(home.attend_to_all_due().await, 0, "the agenda does not come back to it before");
        home.sleep_until(300);
        home.attend_to_all_due().await;
        assert_eq!((home.posts(), home.token().as_deref()), (3, Some("at-new")));
    }
}

/// A session whose lost answer is forgiven until 225 s, when its next try is due.
async fn about_to_try_again() -> Home {
    let trouble = Trouble { tries: 2, not_before: at(200), unknown_since: Some(at(195)), ..Trouble::default() };
    let edit = |session: &mut Session| session.trouble = Some(trouble);
    let home = Home::with(|settings| settings.reuse_grace = Duration::from_secs(30), edit).await;
    home.sleep_until(200);
    home
}

fn assert_waits_for_the_expiry(home: &Home, outcome: &Result<Attended, KeeperError>) {
    assert!(matches!(outcome, Err(KeeperError::ProviderDown { .. })), "{outcome:?}");
    assert_eq!((home.posts(), home.session().due_at), (0, Some(at(300))));
    assert_eq!((trouble(home).unknown_since, home.vault.unsettled().unwrap()), (Some(at(195)), vec![]));
}

#[tokio::test]
async fn a_try_that_is_made_ready_too_late_for_the_grace_is_not_sent() {
    const DISCOVERY: &str = "/.well-known/openid-configuration";
    let home = about_to_try_again().await;
    let bell = Arc::new(Notify::new());
    let document = home.server.scripted(DISCOVERY);
    home.server.script(DISCOVERY, Reply::Held(Arc::clone(&bell), Box::new(document)));
    let (outcome, ()) = tokio::join!(home.attend(Wish::Due), async {
        until(|| home.server.count(DISCOVERY) == 1).await;
        home.sleep_until(225);
        bell.notify_one();
    });
    assert_waits_for_the_expiry(&home, &outcome);
}

#[tokio::test]
async fn a_try_whose_intent_is_written_too_late_for_the_grace_is_not_sent() {
    let home = about_to_try_again().await;
    home.store.hold(Table::Intents);
    let (outcome, ()) = tokio::join!(home.attend(Wish::Due), async {
        until(|| home.store.held() == 1).await;
        home.sleep_until(225);
        home.store.let_all_go();
    });
    assert_waits_for_the_expiry(&home, &outcome);
    assert!(trouble(&home).what.contains("could not be sent before"), "{:?}", trouble(&home));
}

#[tokio::test]
async fn another_failure_does_not_make_the_token_safe_to_send_again() {
    for reply in [Reply::text(503, "text/html", ""), error("invalid_client"), Reply::HangUpAfter] {
        let home = lost(3).await;
        home.server.script("/token", reply);
        home.sleep_until(202);
        home.attend_to_all_due().await;
        assert_eq!(home.posts(), 3);
        // The wait leads out of the grace.
        assert_eq!((home.session().due_at, trouble(&home).unknown_since), (Some(at(300)), Some(at(200))));
    }
}

#[tokio::test]
async fn a_refusal_after_a_lost_answer_is_told_as_what_it_is() {
    let home = lost(0).await;
    home.sleep_until(300);
    home.server.script("/token", error("invalid_grant"));
    home.attend_to_all_due().await;
    let refusal = Refusal { error: "invalid_grant".to_owned(), tries: 2, ..Refusal::default() };
    assert_eq!(home.session().state, State::NeedsLogin { reason: LoginReason::AnswerLost(refusal), since: at(300) });
}

/// An answer to a refresh whose ID token has this in it.
fn answer_with(home: &Home, claim: (&str, Value)) -> Reply {
    let id = home.server.id_token(&[("exp", json!(at(9000).0)), claim]);
    Reply::json(200, &json!({"access_token": "at-new", "expires_in": 300, "id_token": id.expose()}))
}

#[tokio::test]
async fn who_gets_tokens_of_another_login_each_time_is_told_to_log_in_when_nothing_is_left_to_lose() {
    for (claim, words) in [
        (("sub", json!("u-2")), "the refresh brought an ID token of another user"),
        (("auth_time", json!(NOW.0 + 9)), "the refresh brought an ID token of another login (auth_time)"),
    ] {
        let home = Home::new().await;
        home.server.script("/token", answer_with(&home, claim));
        home.sleep_until(200);
        assert!(matches!(home.attend(Wish::Due).await, Err(KeeperError::ProviderDown { .. })), "{words}");
        assert_eq!(home.token().as_deref(), Some("at-old-0123456789"), "the live token is served until then");
        home.sleep_until(300);
        let refusal = Refusal { error: words.to_owned(), tries: 2, ..Refusal::default() };
        let reason = LoginReason::Unusable(refusal);
        let told = format!("the provider's answers to refreshes could not be used: {words}, at try 2");
        assert_eq!(reason.to_string(), told);
        assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::LoginRequired { .. })));
        let session = home.session();
        assert_eq!(session.state, State::NeedsLogin { reason, since: at(300) });
        assert_eq!((session.tokens, session.due_at, session.trouble), (None, None, None));
    }
}

#[tokio::test]
async fn one_answer_of_another_login_costs_no_session_not_even_when_nothing_is_left_to_lose() {
    let home = Home::new().await;
    home.server.script("/token", answer_with(&home, ("sub", json!("u-2"))));
    home.sleep_until(300);
    assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::ProviderDown { .. })));
    home.server.script("/token", renewal());
    home.clock.advance(home.session().due_at.unwrap().since(home.clock.now()));
    home.attend_to_all_due().await;
    assert_eq!((home.token().as_deref(), home.session().trouble), (Some("at-new"), None));
}

#[tokio::test]
async fn within_the_grace_answers_of_another_login_cost_no_session_while_its_token_lives() {
    let home = Home::with(|settings| settings.reuse_grace = Duration::from_secs(30), |_| {}).await;
    home.server.script("/token", answer_with(&home, ("sub", json!("u-2"))));
    home.sleep_until(200);
    assert!(home.attend(Wish::Due).await.is_err());
    assert_eq!((home.posts(), home.session().state), (2, State::Active));
    // Set back further than a clock goes by itself: the token counts as expired, and is served to nobody.
    home.edit(|session| session.era += 1).await;
    home.sleep_until(202);
    assert!(matches!(home.attend(Wish::Due).await, Err(KeeperError::LoginRequired { .. })));
}

#[tokio::test]
async fn what_an_administrator_has_to_mend_is_tried_again_and_again() {
    let home = Home::new().await;
    home.server.script("/token", answer_with(&home, ("iss", json!("https://evil.example"))));
    for time in [200, 300, 400, 900] {
        home.sleep_until(time);
        assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::ProviderDown { .. })), "{time}");
    }
    assert_eq!((home.session().state, trouble(&home).tries), (State::Active, 4));
}

async fn interrupted(reuse_grace: u64, generation: u64) -> Home {
    let home = Home::with(|settings| settings.reuse_grace = Duration::from_secs(reuse_grace), |_| {}).await;
    let mut change = home.vault.change(at(200));
    change.intend(home.id, &Intent { generation, at: at(200) }).unwrap();
    change.commit().await.unwrap();
    home.sleep_until(210);
    assert_eq!(home.keeper.recover().await, Ok(1));
    assert_eq!(home.keeper.recover().await, Ok(0), "it is settled");
    home
}

#[tokio::test]
async fn a_refresh_that_a_crash_interrupted_is_taken_for_lost() {
    let home = interrupted(0, 1).await;
    assert_eq!((home.session().due_at, trouble(&home).unknown_since), (Some(at(300)), Some(at(200))));
    home.sleep_until(300);
    home.attend_to_all_due().await;
    assert_eq!(home.token().as_deref(), Some("at-new"), "a POST that never arrived costs no login");
}

#[tokio::test]
async fn a_refresh_that_a_crash_interrupted_is_tried_at_once_within_the_grace() {
    let home = interrupted(60, 1).await;
    assert_eq!((home.session().due_at, trouble(&home).unknown_since), (Some(at(211)), Some(at(200))));
}

#[tokio::test]
async fn a_session_that_was_opened_anew_since_has_no_part_in_it() {
    let home = interrupted(0, 0).await;
    assert_eq!((home.session().due_at, home.session().trouble), (Some(at(200)), None));
}

#[tokio::test]
async fn a_clock_that_is_set_back_while_the_answer_is_lost_does_not_make_a_spent_token_good() {
    let home = Home::new().await;
    home.sleep_until(200);
    let bell = home.hold(Reply::HangUpAfter);
    let (outcome, ()) = tokio::join!(home.attend(Wish::NewToken), async {
        until(|| home.posts() == 1).await;
        home.clock.set_wall_by(-30);
        home.server.script("/token", renewal());
        bell.notify_one();
    });
    assert!(matches!(outcome, Err(KeeperError::ProviderDown { .. })), "{outcome:?}");
    assert_eq!((home.posts(), home.session().due_at), (1, Some(at(300))));
}

#[tokio::test]
async fn a_clock_that_was_set_back_while_the_daemon_was_down_does_not_either() {
    for (grace, due) in [(0, 300), (20, 300), (60, 171)] {
        let home = Home::with(|settings| settings.reuse_grace = Duration::from_secs(grace), |_| {}).await;
        let mut change = home.vault.change(at(200));
        change.intend(home.id, &Intent { generation: 1, at: at(200) }).unwrap();
        change.commit().await.unwrap();
        home.sleep_until(170);
        home.keeper.recover().await.unwrap();
        assert_eq!(home.session().due_at, Some(at(due)), "{grace}");
    }
}

#[tokio::test]
async fn one_record_that_is_damaged_keeps_no_other_refresh_from_being_settled() {
    let home = Home::new().await;
    let other = Session { id: SessionRef::from_random([0; 5]), ..home.session() };
    let mut change = home.vault.change(at(200));
    change.insert(&other).unwrap();
    for id in [home.id, other.id] {
        change.intend(id, &Intent { generation: 1, at: at(200) }).unwrap();
    }
    change.commit().await.unwrap();
    let mut damage = Batch::default();
    damage.set(Table::Sessions, other.id.as_bytes(), vec![0; 300]);
    damage.set(Table::Meta, b"clock", vec![0; 300]);
    home.store.write_if(damage).await.unwrap();
    home.sleep_until(210);
    home.keeper.resume_clock().unwrap();
    home.keeper.recover().await.unwrap();
    assert_eq!(trouble(&home).unknown_since, Some(at(200)));
    assert_eq!(home.vault.unsettled().unwrap().len(), 1, "that of the other stays");
    home.keeper.look_at_clock().await;
    assert_eq!(home.vault.clock_mark().unwrap().map(|mark| mark.now), Some(at(210)), "it is written anew");
}

#[tokio::test]
async fn a_refresh_that_fails_inside_the_daemon_is_taken_for_lost() {
    let home = Home::new().await;
    home.sleep_until(200);
    home.store.panic_at(Table::Outbox);
    assert_eq!(home.attend(Wish::NewToken).await, Err(KeeperError::Internal));
    assert_eq!((home.session().due_at, trouble(&home).unknown_since), (Some(at(300)), Some(at(200))));
    assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::ProviderDown { .. })));
    assert_eq!(home.posts(), 1, "what may be spent is not sent again before it expires");
}
