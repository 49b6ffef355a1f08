//! Which request is served from memory, which needs a refresh, and which can never be served.

use super::*;
use crate::domain::{LoginReason, Refusal, State};
use crate::keeper::{Live, Served};

/// What a request gets at this moment.
#[derive(Debug, PartialEq)]
enum Got {
    Token,
    Refresh,
    TooShort(u64),
    LoginRequired(LoginReason),
}

fn live(home: &Home) -> Arc<Live> {
    let Look::Live(live) = home.keeper.look(home.id).unwrap() else { panic!("the session is not live") };
    live
}

fn ask(home: &Home, min_valid: Option<u64>) -> Got {
    let min_valid = min_valid.map(Duration::from_secs);
    match home.keeper.serve(&permit(Action::Token), &live(home), min_valid) {
        Ok(Served::Now(_)) => Got::Token,
        Ok(Served::AfterRefresh) => Got::Refresh,
        Err(KeeperError::LifetimeTooShort { life, .. }) => Got::TooShort(life),
        Err(KeeperError::LoginRequired { reason, .. }) => Got::LoginRequired(reason),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_token_is_served_while_it_is_valid_for_as_long_as_was_asked() {
    let home = Home::new().await;
    assert_eq!(ask(&home, Some(299)), Got::Token);
    home.sleep_until(200);
    assert_eq!(ask(&home, Some(99)), Got::Token);
    assert_eq!(ask(&home, Some(100)), Got::Refresh);
    home.sleep_until(299);
    assert_eq!(ask(&home, Some(0)), Got::Token);
    home.sleep_until(300);
    assert_eq!(ask(&home, Some(0)), Got::Refresh);
}

#[tokio::test]
async fn more_than_the_whole_life_of_such_tokens_is_never_worth_a_refresh() {
    let home = Home::new().await;
    for seconds in [300, 301, u64::MAX] {
        assert_eq!(ask(&home, Some(seconds)), Got::TooShort(300));
    }
    home.sleep_until(400);
    assert_eq!(ask(&home, Some(300)), Got::TooShort(300));
}

#[tokio::test]
async fn who_does_not_say_gets_a_minute_or_a_fifth_of_the_life() {
    let home = Home::new().await;
    home.sleep_until(239);
    assert_eq!(ask(&home, None), Got::Token);
    home.sleep_until(240);
    assert_eq!(ask(&home, None), Got::Refresh);
    let home = Home::with(
        |_| {},
        |session| {
            session.tokens.as_mut().unwrap().access.expires_at = at(10);
        },
    )
    .await;
    home.sleep_until(7);
    assert_eq!(ask(&home, None), Got::Token);
    home.sleep_until(8);
    assert_eq!(ask(&home, None), Got::Refresh);
}

#[tokio::test]
async fn nothing_is_served_past_the_end_of_the_session() {
    let home = Home::with(|_| {}, |session| session.ends_at = at(100)).await;
    home.sleep_until(50);
    assert_eq!(ask(&home, Some(49)), Got::Token);
    assert_eq!(ask(&home, Some(50)), Got::TooShort(50), "a refresh would not help");
    assert_eq!(ask(&home, None), Got::Token, "who did not say gets what there is");
    home.sleep_until(100);
    assert_eq!(ask(&home, None), Got::LoginRequired(LoginReason::SessionTooOld));
    assert_eq!(ask(&home, Some(0)), Got::LoginRequired(LoginReason::SessionTooOld));
}

#[tokio::test]
async fn without_a_refresh_token_there_is_what_there_is() {
    let home = Home::with(|_| {}, |session| session.tokens.as_mut().unwrap().refresh = None).await;
    home.sleep_until(290);
    assert_eq!(ask(&home, None), Got::Token);
    assert_eq!(ask(&home, Some(60)), Got::TooShort(10));
    home.sleep_until(300);
    assert_eq!(ask(&home, None), Got::LoginRequired(LoginReason::NoRefreshToken));
}

#[tokio::test]
async fn a_fresh_token_that_came_too_late_for_somebody_is_not_fetched_again_for_the_same() {
    let home = Home::new().await;
    home.sleep_until(2);
    let wanted = Some(Duration::from_secs(299));
    let too_short = |error: KeeperError| matches!(error, KeeperError::LifetimeTooShort { life: 298, .. });
    assert_eq!(ask(&home, Some(299)), Got::Refresh, "another provider may be quicker");
    assert!(too_short(home.keeper.falls_short(&live(&home), wanted)), "it took two seconds");
    assert_eq!(ask(&home, Some(299)), Got::TooShort(298));
    home.sleep_until(100);
    assert_eq!(ask(&home, Some(297)), Got::Refresh, "which can be had");

    home.sleep_until(200);
    let error = home.keeper.falls_short(&live(&home), Some(Duration::ZERO));
    assert_eq!(error, KeeperError::StillWorking, "it was not on its way for as long: the clock was set");
}

#[tokio::test]
async fn after_a_refresh_in_vain_only_those_who_did_not_say_get_the_old_token() {
    let home = Home::new().await;
    home.sleep_until(290);
    let anyway = |min_valid| home.keeper.serve_anyway(&permit(Action::Token), &live(&home), min_valid).is_some();
    assert!(anyway(None));
    assert!(!anyway(Some(Duration::from_secs(20))));
    home.sleep_until(300);
    assert!(!anyway(None));
}

#[tokio::test]
async fn a_session_that_is_read_again_keeps_when_it_was_used() {
    let home = Home::new().await;
    live(&home).touch(at(77));
    home.edit(|session| session.generation = 2).await;
    home.keeper.publish(home.id);
    assert_eq!((live(&home).used_at(), live(&home).generation), (at(77), 2));
}

#[tokio::test]
async fn a_session_that_needs_a_login_is_dormant_and_one_that_never_was_is_absent() {
    let home = Home::new().await;
    let state = State::NeedsLogin { reason: LoginReason::AnswerLost(Refusal::default()), since: at(5) };
    home.edit(|session| session.state = state).await;
    let Look::Dormant(session) = home.keeper.look(home.id).unwrap() else { panic!("not dormant") };
    let error = KeeperError::from(&*session);
    assert_eq!(
        error,
        KeeperError::LoginRequired {
            session: home.id,
            provider: Box::new("corp".parse().unwrap()),
            reason: LoginReason::AnswerLost(Refusal::default()),
            since: at(5)
        }
    );
    let told = error.to_problem();
    assert_eq!(told.login_provider(), Some("corp"));
    assert_eq!(told.login_reason(), Some(LoginReason::AnswerLost(Refusal::default()).to_string().as_str()));
    assert!(matches!(home.keeper.look(SessionRef::from_random([9; 5])), Ok(Look::Absent)));
}
