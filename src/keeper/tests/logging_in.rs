//! Both halves of a login, in good and in bad order.

use tokenkeeper_protocol::reply::{LoggedIn, LoginBegun};
use tokenkeeper_protocol::request::{LoginBegin, LoginComplete};
use tokenkeeper_protocol::{Secret, UserName};

use super::*;
use crate::domain::{LoginReason, Refusal, State, Way};
use crate::policy::{Reach, Rules};
use crate::provider::scripted::login_begin;
use crate::vault::Scope;

/// A login as its browser sees it.
struct Visit {
    begun: LoginBegun,
    state: String,
    nonce: String,
}

async fn begin(home: &Home, replaces: Option<SessionRef>) -> Visit {
    let request = LoginBegin { replaces, ..login_begin("https://shop.example/cb") };
    let begun = home.keeper.begin_login(permit(Action::Login), &peer(1000), &request).await.unwrap();
    let url = ::url::Url::parse(begun.authorize_url.expose()).unwrap();
    let parameter = |wanted| url.query_pairs().find(|(name, _)| name == wanted).unwrap().1.into_owned();
    Visit { state: parameter("state"), nonce: parameter("nonce"), begun }
}

/// Has the provider answer the code of a visit with tokens of this user.
fn grant(home: &Home, visit: &Visit, changes: &[(&str, Value)]) {
    let mut claims = vec![("nonce", json!(visit.nonce))];
    claims.extend_from_slice(changes);
    let id = home.server.id_token(&claims);
    let tokens = json!({
        "access_token": "at-login-0123", "refresh_token": "rt-login-0123", "expires_in": 300, "id_token": id.expose(),
    });
    home.server.script("/token", Reply::json(200, &tokens));
}

async fn come_back(home: &Home, visit: &Visit, uid: u32, query: &str) -> Result<LoggedIn, KeeperError> {
    let complete = LoginComplete { login_id: visit.begun.login_id, callback_query: Secret::from(query) };
    home.keeper.complete_login(permit(Action::Login), &peer(uid), &complete).await
}

async fn complete(home: &Home, visit: &Visit) -> Result<LoggedIn, KeeperError> {
    come_back(home, visit, 1000, &format!("code=c0de&state={}", visit.state)).await
}

fn sessions(home: &Home) -> usize {
    home.vault.page(Scope::All, None, 100).unwrap().sessions.len()
}

#[tokio::test]
async fn a_login_opens_a_session_and_its_token_is_served() {
    let home = Home::new().await;
    let visit = begin(&home, None).await;
    grant(&home, &visit, &[]);
    home.sleep_until(30);
    let answer = complete(&home, &visit).await.unwrap();
    assert_eq!((answer.user.name.as_str(), answer.user.subject.as_str()), ("alice", "u-1"));
    assert_eq!(answer.ends_at, at(30 + 30 * 86_400));
    let session = home.vault.session(answer.session).unwrap().unwrap().value;
    assert_eq!((session.opened_by, session.opened_at), (peer(1000).owner(), at(30)));
    assert_eq!(session.prune_at, session.ends_at);
    assert!(session.due_at.unwrap() > at(30 + 190));
    assert!(home.keeper.glance(answer.session).is_some());
}

#[tokio::test]
async fn a_completed_login_answers_the_same_for_a_minute_and_to_the_same_query_only() {
    let home = Home::new().await;
    let visit = begin(&home, None).await;
    grant(&home, &visit, &[]);
    let first = complete(&home, &visit).await.unwrap();
    home.sleep_until(59);
    assert_eq!(complete(&home, &visit).await.unwrap(), first);
    let other = come_back(&home, &visit, 1000, &format!("code=other&state={}", visit.state)).await;
    assert!(matches!(other, Err(KeeperError::LoginFailed { .. })));
    home.sleep_until(60);
    assert!(matches!(complete(&home, &visit).await, Err(KeeperError::LoginFailed { .. })));
    assert_eq!((home.posts(), sessions(&home)), (1, 2));
}

#[tokio::test]
async fn two_halves_that_come_twice_at_once_open_one_session() {
    let home = Home::new().await;
    let visit = begin(&home, None).await;
    grant(&home, &visit, &[]);
    let (a, b) = tokio::join!(complete(&home, &visit), complete(&home, &visit));
    assert_eq!(a.unwrap(), b.unwrap());
    assert_eq!((home.posts(), sessions(&home)), (1, 2));
}

#[tokio::test]
async fn nobody_completes_the_login_of_another_and_it_stays_open_for_its_owner() {
    let home = Home::new().await;
    let visit = begin(&home, None).await;
    grant(&home, &visit, &[]);
    let stolen = come_back(&home, &visit, 1001, &format!("code=c0de&state={}", visit.state)).await;
    assert!(matches!(stolen, Err(KeeperError::LoginFailed { .. })));
    assert_eq!(home.posts(), 0);
    assert!(complete(&home, &visit).await.is_ok());
}

#[tokio::test]
async fn a_foreign_callback_spends_no_code_and_leaves_the_login_open() {
    let home = Home::new().await;
    let visit = begin(&home, None).await;
    grant(&home, &visit, &[]);
    let foreign = come_back(&home, &visit, 1000, "code=c0de&state=another").await;
    assert!(matches!(foreign, Err(KeeperError::ForeignCallback { .. })));
    assert!(matches!(come_back(&home, &visit, 1000, "nonsense").await, Err(KeeperError::BadRequest { .. })));
    assert_eq!(home.posts(), 0);
    assert!(complete(&home, &visit).await.is_ok());
}

#[tokio::test]
async fn a_code_is_not_shown_to_another_issuer_than_its_login_was_begun_at() {
    let home = Home::new().await;
    let (visit, older) = (begin(&home, None).await, begin(&home, None).await);
    let other = Server::oidc().await;
    let known = home.keeper.providers();
    let provider = Arc::new(other.provider());
    home.keeper.replace_providers(Providers::from([(provider.settings().name.clone(), provider)]), RETENTION);
    let error = complete(&home, &visit).await.unwrap_err();
    assert!(matches!(&error, KeeperError::LoginFailed { why } if why.contains(other.url())), "{error}");
    assert_eq!((home.posts(), other.count("/token")), (0, 0));

    // An older version did not keep the issuer.
    let mut login = home.vault.login(older.begun.login_id).unwrap().unwrap();
    login.value.way = Way::Code(login.value.way.code().unwrap().0.clone());
    let mut change = home.vault.change(NOW);
    change.keep_login(older.begun.login_id, login.version, &login.value).unwrap();
    change.commit().await.unwrap();
    home.keeper.replace_providers((*known).clone(), RETENTION);
    grant(&home, &older, &[]);
    complete(&home, &older).await.unwrap();
}

#[tokio::test]
async fn a_login_takes_ten_minutes_at_most() {
    let home = Home::new().await;
    let visit = begin(&home, None).await;
    grant(&home, &visit, &[]);
    home.sleep_until(600);
    assert!(matches!(complete(&home, &visit).await, Err(KeeperError::LoginFailed { .. })));
    assert_eq!(home.posts(), 0);
    home.sleep_until(800);
    assert_eq!(home.keeper.sweep().await.unwrap(), 2, "the flow is forgotten, and the session was due");
}

#[tokio::test]
async fn a_name_that_is_bound_to_another_subject_opens_nothing_and_its_tokens_are_revoked() {
    let home = Home::new().await;
    let visit = begin(&home, None).await;
    grant(&home, &visit, &[]);
    complete(&home, &visit).await.unwrap();
    let visit = begin(&home, None).await;
    grant(&home, &visit, &[("sub", json!("u-2"))]);
    let refused = complete(&home, &visit).await;
    assert!(matches!(refused, Err(KeeperError::LoginFailed { .. })));
    assert_eq!(sessions(&home), 2);
    assert_eq!(home.revoked(), ["rt-login-0123", "at-login-0123"]);
    let name: UserName = "alice".parse().unwrap();
    assert_eq!(home.vault.binding(&home.session().provider, &name).unwrap().unwrap().subject, "u-1");
}

#[tokio::test]
async fn a_session_that_is_renewed_keeps_its_reference_and_its_owner() {
    let home = Home::with(
        |_| {},
        |session| {
            session.opened_by = crate::domain::Owner::Uid(7);
            session.device = Some("laptop".to_owned());
        },
    )
    .await;
    home.edit(|session| {
        session.state = State::NeedsLogin { reason: LoginReason::AnswerLost(Refusal::default()), since: NOW };
        (session.tokens, session.due_at) = (None, None);
    })
    .await;
    let visit = begin(&home, Some(home.id)).await;
    grant(&home, &visit, &[]);
    assert_eq!(complete(&home, &visit).await.unwrap().session, home.id);
    let session = home.session();
    assert_eq!((session.state, session.generation), (State::Active, 2));
    assert_eq!((session.opened_by, session.device.as_deref()), (crate::domain::Owner::Uid(7), Some("laptop")));
    assert_eq!((home.token().as_deref(), sessions(&home)), (Some("at-login-0123"), 1));
}

#[tokio::test]
async fn a_session_is_renewed_by_its_own_user_only() {
    let home = Home::new().await;
    let visit = begin(&home, Some(home.id)).await;
    grant(&home, &visit, &[("sub", json!("u-2")), ("preferred_username", json!("bob"))]);
    assert!(matches!(complete(&home, &visit).await, Err(KeeperError::LoginFailed { .. })));
    assert_eq!(home.token().as_deref(), Some("at-old-0123456789"));
    assert_eq!((sessions(&home), home.revoked().len()), (1, 2));
}

#[tokio::test]
async fn a_login_that_cannot_be_written_leaves_no_tokens_behind_and_says_why() {
    let home = Home::new().await;
    let visit = begin(&home, None).await;
    grant(&home, &visit, &[]);
    let bell = home.hold(home.server.scripted("/token"));
    let (completed, ()) = tokio::join!(complete(&home, &visit), async {
        until(|| home.posts() == 1).await;
        home.store.take_only(0);
        bell.notify_one();
    });
    assert!(matches!(completed, Err(KeeperError::StoreDown { .. })), "{completed:?}");
    assert_eq!(home.revoked(), ["rt-login-0123", "at-login-0123"]);
    assert_eq!(sessions(&home), 1);
}

#[tokio::test]
async fn while_the_store_takes_no_writes_no_code_is_spent_and_the_login_is_completed_later() {
    let home = Home::new().await;
    let visit = begin(&home, None).await;
    grant(&home, &visit, &[]);
    home.store.take_only(0);
    let refused = complete(&home, &visit).await.unwrap_err();
    assert_eq!(refused.to_problem().code, tokenkeeper_protocol::Code::TryLater, "{refused}");
    assert_eq!((home.posts(), home.revoked().len()), (0, 0));
    home.store.recover();
    complete(&home, &visit).await.unwrap();
    assert_eq!((home.posts(), sessions(&home)), (1, 2));
}

#[tokio::test]
async fn a_refusal_is_told_though_it_cannot_be_audited() {
    let home = Home::new().await;
    let visit = begin(&home, None).await;
    home.store.take_only(0);
    let query = format!("error=access_denied&state={}", visit.state);
    assert!(matches!(come_back(&home, &visit, 1000, &query).await, Err(KeeperError::LoginFailed { .. })));
}

#[tokio::test]
async fn the_outcome_of_an_old_refresh_does_not_touch_the_tokens_of_a_new_login() {
    for late in [renewal(), error("invalid_grant"), Reply::HangUpAfter] {
        let home = Home::new().await;
        let visit = begin(&home, Some(home.id)).await;
        let bell = home.hold(late);
        let flight = home.keeper.attend(home.id, Wish::NewToken);
        until(|| home.posts() == 1).await;
        grant(&home, &visit, &[]);
        complete(&home, &visit).await.unwrap();
        let renewed = home.session();

        bell.notify_one();
        assert_eq!(flight.outcome().await, Ok(Attended::NothingDue));
        assert_eq!(home.session(), renewed);
        assert_eq!(home.token().as_deref(), Some("at-login-0123"));
        assert_eq!(home.vault.unsettled().unwrap(), []);
        assert_eq!(home.revoked().len(), 0);
    }
}

#[tokio::test]
async fn what_a_user_calls_a_device_is_short() {
    let home = Home::new().await;
    let begin = LoginBegin { device: Some("x".repeat(257)), ..login_begin("https://shop.example/cb") };
    let refused = home.keeper.begin_login(permit(Action::Login), &peer(1000), &begin).await;
    assert!(matches!(refused, Err(KeeperError::BadRequest { .. })));
}

#[tokio::test]
async fn a_wrong_issuer_is_for_an_administrator_and_a_provider_that_is_down_for_another_try() {
    for (reply, misconfigured) in [
        (Reply::json(200, &json!({"issuer": "https://other.example"})), true),
        (Reply::redirect("/elsewhere"), true),
        (Reply::text(503, "text/plain", ""), false),
    ] {
        let home = Home::new().await;
        home.server.script("/.well-known/openid-configuration", reply);
        let request = login_begin("https://shop.example/cb");
        let error = home.keeper.begin_login(permit(Action::Login), &peer(1000), &request).await.unwrap_err();
        assert_eq!(matches!(error, KeeperError::Misconfigured { .. }), misconfigured, "{error}");
        assert_eq!(error.to_problem().retry_after_ms.is_none(), misconfigured, "{error}");
    }
}

#[tokio::test]
async fn a_login_whose_code_is_spent_without_telling_the_user_begins_anew() {
    let home = Home::new().await;
    let visit = begin(&home, None).await;
    grant(&home, &visit, &[("preferred_username", json!(null))]);
    home.server.script("/userinfo", Reply::text(503, "text/plain", ""));
    home.server.script("/revoke", Reply::text(200, "text/plain", ""));
    let error = complete(&home, &visit).await.unwrap_err();
    assert!(matches!(error, KeeperError::LoginFailed { .. }), "{error}");
    assert_eq!(home.server.count("/revoke"), 2);
    complete(&home, &visit).await.unwrap_err();
    assert_eq!(home.posts(), 1);
}

#[tokio::test]
async fn who_reaches_only_the_sessions_of_their_unix_user_opens_none_of_anybody_else() {
    let home = Home::new().await;
    let provider = home.session().provider;
    let on = On::Sessions { provider: Some(provider.clone()), reach: Reach::User };
    let rule = Rule { who: Who::User(1000), may: vec![Action::Login], on, source: String::new() };
    let mut rules = Rules::from(vec![rule]);
    for (name, opened) in [("bob", 0), ("alice", 1)] {
        rules.users.add(provider.clone(), 1000, name.parse().unwrap());
        let permit = judge(&rules, &peer(1000), Action::Login, Target::Provider(&provider)).unwrap();
        let visit = begin(&home, None).await;
        grant(&home, &visit, &[]);
        let query = Secret::from(format!("code=c0de&state={}", visit.state).as_str());
        let complete = LoginComplete { login_id: visit.begun.login_id, callback_query: query };
        let answer = home.keeper.complete_login(permit, &peer(1000), &complete).await;
        assert_eq!((answer.is_ok(), sessions(&home)), (opened == 1, 1 + opened), "{answer:?}");
        // The tokens of the one who was not to come are given back.
        assert!(home.revoked().contains(&"rt-login-0123".to_owned()));
    }
}

/// A home whose provider failed until it is left alone.
async fn broken() -> Home {
    let home = Home::new().await;
    home.server.script("/token", Reply::text(500, "text/html", ""));
    for second in 200.. {
        home.sleep_until(second);
        let _ = home.attend(Wish::NewToken).await;
        if home.provider().gate().is_broken() {
            return home;
        }
        home.edit(|session| session.trouble = None).await;
    }
    unreachable!("it opens after a few")
}

#[tokio::test]
async fn a_login_is_let_through_to_a_provider_that_is_left_alone_and_tells_that_it_is_back() {
    let home = broken().await;
    let posts = home.posts();
    assert!(home.attend(Wish::NewToken).await.is_err());
    assert_eq!(home.posts(), posts, "nobody else is");
    let visit = begin(&home, None).await;
    assert!(matches!(complete(&home, &visit).await, Err(KeeperError::ProviderDown { .. })));
    assert!(home.provider().gate().is_broken());

    let visit = begin(&home, None).await;
    grant(&home, &visit, &[]);
    complete(&home, &visit).await.unwrap();
    assert!(!home.provider().gate().is_broken());
}

#[tokio::test]
async fn logins_that_fail_tell_that_a_provider_is_down() {
    let home = Home::new().await;
    home.server.script("/token", Reply::text(500, "text/html", ""));
    for second in 0..5 {
        home.sleep_until(second);
        let visit = begin(&home, None).await;
        assert!(complete(&home, &visit).await.is_err());
    }
    assert!(home.provider().gate().is_broken());
    assert!(matches!(home.attend(Wish::NewToken).await, Err(KeeperError::ProviderDown { .. })));
    assert_eq!(home.posts(), 5);
}

#[tokio::test]
async fn what_a_provider_asks_one_to_wait_holds_for_logins_too_and_costs_none() {
    let home = Home::new().await;
    let (first, second) = (begin(&home, None).await, begin(&home, None).await);
    let busy = Reply::json(429, &json!({"error": "slow_down"})).with("Retry-After", "90");
    home.server.script("/token", busy);
    for visit in [&first, &second] {
        let error = complete(&home, visit).await.unwrap_err();
        assert!(matches!(&error, KeeperError::ProviderDown { wait, .. } if wait.as_secs() == 90), "{error}");
    }
    assert_eq!(home.posts(), 1);
    assert!(home.attend(Wish::NewToken).await.is_err());
    assert_eq!(home.posts(), 1, "nor is anything else asked");
    home.sleep_until(90);
    grant(&home, &second, &[]);
    complete(&home, &second).await.expect("its code was not spent");
}

#[tokio::test]
async fn logins_count_among_what_a_provider_is_asked_at_once() {
    use crate::config::settings::Courtesy;
    let home = Home::with(|settings| settings.courtesy = Courtesy { concurrency: 1, per_minute: None }, |_| {}).await;
    let visit = begin(&home, None).await;
    let bell = home.hold(renewal());
    let refresh = home.keeper.attend(home.id, Wish::NewToken).outcome();
    until(|| home.posts() == 1).await;
    grant(&home, &visit, &[]);
    let (login, refresh, ()) = tokio::join!(complete(&home, &visit), refresh, async {
        tokio::task::yield_now().await;
        assert_eq!(home.posts(), 1, "the login waits for its turn");
        bell.notify_one();
    });
    assert_eq!(refresh, Ok(Attended::Renewed));
    login.unwrap();
    assert_eq!(home.posts(), 2);
}
