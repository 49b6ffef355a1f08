//! Logins with a code, from the question to the session or the reason why there is none.
//!
//! Questions are asked here one by one; that they are asked in time is for the black-box tests.

use tokenkeeper_protocol::reply::{DeviceBegun, LoggedIn};
use tokenkeeper_protocol::request::DeviceBegin;

use super::*;
use crate::domain::DeviceFlow;
use crate::keeper::device_poll::Asked;
use crate::keeper::device_register::Pace;
use crate::provider::scripted::device_begin;
use crate::vault::{PendingLogin, Scope, Versioned};

const PENDING: &str = "authorization_pending";

async fn begin_as(home: &Home, peer: &Peer, replaces: Option<SessionRef>) -> Result<DeviceBegun, KeeperError> {
    let answer = json!({
        "device_code": "dc-0123456789", "user_code": "AB-CD", "verification_uri": "https://id.example/device",
        "expires_in": 600, "interval": 60,
    });
    home.server.script("/device", Reply::json(200, &answer));
    let begin = DeviceBegin { replaces, ..device_begin() };
    home.keeper.begin_device_login(permit(Action::Login), peer, &begin).await
}

async fn begin(home: &Home, replaces: Option<SessionRef>) -> DeviceBegun {
    begin_as(home, &peer(1000), replaces).await.unwrap()
}

fn login(home: &Home, begun: &DeviceBegun) -> Versioned<PendingLogin> {
    home.vault.login(begun.login_id).unwrap().unwrap()
}

fn flow(login: &Versioned<PendingLogin>) -> DeviceFlow {
    login.value.way.device().unwrap().clone()
}

/// One question; why it was the last, if the login failed.
async fn ask(home: &Home, begun: &DeviceBegun, pace: &mut Pace) -> Result<Asked, String> {
    let login = login(home, begun);
    match home.keeper.ask(begun.login_id, &login, &flow(&login), pace).await {
        Asked::Failed(error) => Err(error.to_string()),
        asked => Ok(asked),
    }
}

async fn ask_once(home: &Home, begun: &DeviceBegun) -> Result<Asked, String> {
    ask(home, begun, &mut Pace::default()).await
}

async fn wait(home: &Home, begun: &DeviceBegun, uid: u32) -> Result<LoggedIn, KeeperError> {
    let (permit, peer) = (permit(Action::Login), peer(uid));
    home.keeper.wait_for_device_login(permit, &peer, begun.login_id, Duration::ZERO).await
}

/// Has the user come.
fn grant(home: &Home, changes: &[(&str, Value)]) {
    let id = home.server.id_token(changes);
    let tokens = json!({
        "access_token": "at-device-0123", "refresh_token": "rt-device-0123", "expires_in": 300, "id_token": id.expose(),
    });
    home.server.script("/token", Reply::json(200, &tokens));
}

fn sessions(home: &Home) -> usize {
    home.vault.page(Scope::All, None, 100).unwrap().sessions.len()
}

#[tokio::test]
async fn a_user_who_comes_opens_a_session_and_everybody_who_waits_is_told_the_same_for_a_minute() {
    let home = Home::new().await;
    let begun = begin(&home, None).await;
    assert_eq!((begun.user_code.expose(), begun.expires_at), ("AB-CD", at(600)));
    home.server.script("/token", error(PENDING));
    assert!(matches!(ask_once(&home, &begun).await, Ok(Asked::Again)));
    assert_eq!(wait(&home, &begun, 1000).await, Err(KeeperError::UserNotThere));
    home.sleep_until(100);
    grant(&home, &[]);
    assert!(matches!(ask_once(&home, &begun).await, Ok(Asked::LoggedIn)));
    let first = wait(&home, &begun, 1000).await.unwrap();
    assert_eq!(first.user.name.as_str(), "alice");
    let session = home.vault.session(first.session).unwrap().unwrap().value;
    assert_eq!((session.opened_by, session.opened_at), (peer(1000).owner(), at(100)));
    home.sleep_until(159);
    assert_eq!(wait(&home, &begun, 1000).await.unwrap(), first);
    home.sleep_until(160);
    assert!(matches!(wait(&home, &begun, 1000).await, Err(KeeperError::LoginFailed { .. })));
    assert_eq!(sessions(&home), 2);
}

#[tokio::test]
async fn nobody_waits_for_the_login_of_another() {
    let home = Home::new().await;
    let begun = begin(&home, None).await;
    grant(&home, &[]);
    ask_once(&home, &begun).await.unwrap();
    assert!(matches!(wait(&home, &begun, 1001).await, Err(KeeperError::LoginFailed { .. })));
    assert!(wait(&home, &begun, 1000).await.is_ok());
}

#[tokio::test]
async fn why_a_login_failed_is_told_to_whoever_waits_later() {
    for (reply, words) in [
        (error("access_denied"), "said no"),
        (error("expired_token"), "before it expired"),
        (error("invalid_client"), "does not work as it is configured: invalid_client"),
    ] {
        let home = Home::new().await;
        let begun = begin(&home, None).await;
        home.server.script("/token", reply);
        let told = ask_once(&home, &begun).await.err().unwrap();
        assert!(told.contains(words), "{told}");
        assert_eq!(wait(&home, &begun, 1000).await.unwrap_err().to_string(), told);
        assert_eq!(login(&home, &begun).value.expires_at, at(60));
        assert_eq!(home.vault.device_flows().unwrap(), [], "a restart does not ask again");
    }
}

#[tokio::test]
async fn a_code_that_nobody_typed_ends_without_asking_and_says_what_the_provider_did_last() {
    let home = Home::new().await;
    let begun = begin(&home, None).await;
    let mut pace = Pace::default();
    home.server.script("/token", Reply::text(503, "text/html", ""));
    ask(&home, &begun, &mut pace).await.unwrap();
    home.sleep_until(600);
    let told = ask(&home, &begun, &mut pace).await.err().unwrap();
    assert!(
        told.contains("before it expired; the last question failed: the token endpoint answered HTTP 503"),
        "{told}"
    );
    assert_eq!(home.posts(), 1);
}

#[tokio::test]
async fn faults_double_the_pause_an_answer_ends_that_and_slow_down_stays_over_a_restart() {
    let home = Home::new().await;
    let begun = begin(&home, None).await;
    let mut pace = Pace::default();
    pace.interval = Duration::from_secs(5);
    for seconds in [10, 20, 40, 60, 60] {
        home.server.script("/token", Reply::HangUpAfter);
        ask(&home, &begun, &mut pace).await.unwrap();
        assert_eq!(pace.pause(), Duration::from_secs(seconds));
    }
    home.server.script("/token", Reply::text(429, "text/html", "").with("Retry-After", "90"));
    ask(&home, &begun, &mut pace).await.unwrap();
    assert_eq!(pace.pause(), Duration::from_secs(90));
    home.sleep_until(90);
    home.server.script("/token", error("slow_down"));
    for seconds in [10, 15] {
        ask(&home, &begun, &mut pace).await.unwrap();
        assert_eq!(pace.pause(), Duration::from_secs(seconds));
        assert_eq!(u64::from(flow(&login(&home, &begun)).interval), seconds);
    }
}

#[tokio::test]
async fn the_rules_in_force_when_the_user_comes_decide() {
    let home = Home::new().await;
    let begun = begin(&home, None).await;
    home.rules.store(Arc::new(Rules::default()));
    grant(&home, &[]);
    let told = ask_once(&home, &begun).await.err().unwrap();
    assert!(told.contains("no rule lets uid 1000 log in at corp any more"), "{told}");
    assert_eq!((sessions(&home), home.revoked()), (1, vec!["rt-device-0123".to_owned(), "at-device-0123".to_owned()]));
}

#[tokio::test]
async fn a_session_is_renewed_by_its_own_user_only() {
    let home = Home::new().await;
    let begun = begin(&home, Some(home.id)).await;
    grant(&home, &[("sub", json!("u-2")), ("preferred_username", json!("bob"))]);
    assert!(ask_once(&home, &begun).await.is_err());
    assert_eq!((home.token().as_deref(), home.revoked().len()), (Some("at-old-0123456789"), 2));
    let begun = begin(&home, Some(home.id)).await;
    grant(&home, &[]);
    ask_once(&home, &begun).await.unwrap();
    assert_eq!(wait(&home, &begun, 1000).await.unwrap().session, home.id);
    assert_eq!((home.token().as_deref(), sessions(&home)), (Some("at-device-0123"), 1));
}

#[tokio::test]
async fn a_login_that_cannot_be_written_leaves_no_tokens_behind() {
    let home = Home::new().await;
    let begun = begin(&home, None).await;
    grant(&home, &[]);
    let bell = home.hold(home.server.scripted("/token"));
    let (asked, ()) = tokio::join!(ask_once(&home, &begun), async {
        until(|| home.posts() == 1).await;
        home.store.take_only(0);
        bell.notify_one();
    });
    let told = asked.err().unwrap();
    assert!(told.starts_with("login failed: the store cannot be used"), "{told}");
    assert_eq!((sessions(&home), home.revoked().len()), (1, 2));
}

#[tokio::test]
async fn while_the_store_takes_no_writes_no_question_is_asked_and_the_user_is_found_later() {
    let home = Home::new().await;
    let begun = begin(&home, None).await;
    grant(&home, &[]);
    home.store.take_only(0);
    let mut pace = Pace::default();
    assert!(matches!(ask(&home, &begun, &mut pace).await, Ok(Asked::Again)));
    assert!(pace.trouble.as_ref().unwrap().contains("no space left"), "{pace:?}");
    let refused = begin_as(&home, &peer(1000), None).await;
    assert!(matches!(refused, Err(KeeperError::StoreDown { .. })), "{refused:?}");
    assert_eq!((home.posts(), home.server.count("/device")), (0, 1));
    home.store.recover();
    assert!(matches!(ask(&home, &begun, &mut pace).await, Ok(Asked::LoggedIn)));
    assert_eq!(sessions(&home), 2);
}

#[tokio::test]
async fn one_owner_has_so_many_codes_at_a_time_and_others_have_theirs() {
    let home = Home::new().await;
    for _ in 0..32 {
        begin(&home, None).await;
    }
    let refused = begin_as(&home, &peer(1000), None).await;
    assert!(matches!(refused, Err(KeeperError::TooManyLogins { .. })), "{refused:?}");
    assert!(begin_as(&home, &peer(1001), None).await.is_ok());
}

#[tokio::test]
async fn codes_that_are_asked_for_at_the_same_time_count_before_they_are_there() {
    let home = Home::new().await;
    for _ in 0..31 {
        begin(&home, None).await;
    }
    let bell = Arc::new(Notify::new());
    let code = home.server.scripted("/device");
    home.server.script("/device", Reply::Held(Arc::clone(&bell), Box::new(code)));
    let (peer, request) = (peer(1000), device_begin());
    let ask = || home.keeper.begin_device_login(permit(Action::Login), &peer, &request);
    let (one, other, ()) = tokio::join!(ask(), ask(), async {
        until(|| home.server.count("/device") > 31).await;
        bell.notify_waiters();
    });
    assert!(matches!((one, other), (Ok(_), Err(KeeperError::TooManyLogins { .. }))));
    assert_eq!(home.server.count("/device"), 32);
}

#[tokio::test]
async fn a_stop_ends_the_asking_at_once_and_the_next_start_finds_it() {
    let home = Home::new().await;
    let begun = begin(&home, None).await;
    home.stop.cancel();
    home.keeper.tasks.close();
    home.keeper.tasks.wait().await;
    assert_eq!(home.vault.device_flows().unwrap(), [begun.login_id]);
    assert_eq!(wait(&home, &begun, 1000).await, Err(KeeperError::UserNotThere));
    assert_eq!(home.posts(), 0);
}

#[tokio::test]
async fn a_provider_without_such_a_flow_is_told_apart() {
    let home = Home::new().await;
    home.server.discover("device_authorization_endpoint", json!(null));
    let refused = begin_as(&home, &peer(1000), None).await.unwrap_err();
    assert_eq!(refused.to_problem().code, tokenkeeper_protocol::Code::Unsupported);
}

#[tokio::test]
async fn a_question_is_not_asked_while_the_provider_wants_to_be_left_alone() {
    let home = Home::new().await;
    let begun = begin(&home, None).await;
    home.server.script("/token", Reply::json(429, &json!({"error": "slow_down"})).with("Retry-After", "90"));
    assert!(home.attend(Wish::NewToken).await.is_err());
    assert_eq!(home.posts(), 1);
    let mut pace = Pace::default();
    assert!(matches!(ask(&home, &begun, &mut pace).await, Ok(Asked::Again)));
    assert_eq!(home.posts(), 1);
    assert_eq!(pace.pause(), Duration::from_secs(90), "the next question is when it may be asked");
    home.sleep_until(90);
    grant(&home, &[]);
    assert!(matches!(ask(&home, &begun, &mut pace).await, Ok(Asked::LoggedIn)));
}
