//! What is asked of providers at once, and what is not asked of one that is down.

use futures_util::FutureExt as _;

use super::*;
use crate::config::settings::Courtesy;
use crate::domain::session::Trouble;
use crate::domain::{EndReason, State};
use crate::provider::scripted::Server;
use crate::provider::{Pass, Sign, Turn};

/// Gives the home of the tests a second provider `other`, with one session that is due at 200 s too.
async fn with_another(home: &Home) -> (Server, SessionRef) {
    let server = Server::oidc().await;
    let provider = Arc::new(server.provider_with(|settings| settings.name = "other".parse().unwrap()));
    let mut providers = (*home.keeper.providers()).clone();
    providers.insert(provider.settings().name.clone(), provider);
    home.keeper.replace_providers(providers, RETENTION);
    server.script("/token", renewal());
    let id = SessionRef::from_random([8; 5]);
    let mut other = Session { id, provider: "other".parse().unwrap(), ..home.session() };
    other.user.issuer = server.url().to_owned();
    insert(home, &other).await;
    (server, id)
}

async fn insert(home: &Home, session: &Session) {
    let mut change = home.vault.change(NOW);
    change.insert(session).unwrap();
    change.commit().await.unwrap();
}

/// Sessions like the first, whose tokens expire one second apart, the last one first.
async fn many(home: &Home, number: u8) {
    for number in 0..number {
        let mut session = Session { id: SessionRef::from_random([0, 0, 0, 9, number]), ..home.session() };
        let tokens = session.tokens.as_mut().unwrap();
        tokens.access.expires_at = at(400 - u64::from(number));
        tokens.refresh = Some(Secret::from(format!("rt-{number:03}-0123456789")));
        insert(home, &session).await;
    }
}

#[tokio::test]
async fn a_provider_that_hangs_keeps_nobody_else_waiting() {
    let home = Home::new().await;
    let (other, id) = with_another(&home).await;
    many(&home, 40).await;
    let bell = home.hold(renewal());
    home.sleep_until(200);
    home.keeper.line_up(home.clock.now()).await.unwrap();
    until(|| home.posts() == 8 && other.count("/token") == 1).await;
    until(|| home.vault.session(id).unwrap().unwrap().value.refreshes == 1).await;
    // And what becomes due later does not wait either.
    let mut change = home.vault.change(at(200));
    let old = home.vault.session(id).unwrap().unwrap();
    change.update(&old, &Session { due_at: Some(at(201)), ..old.value.clone() }).unwrap();
    change.commit().await.unwrap();
    home.sleep_until(201);
    home.keeper.line_up(home.clock.now()).await.unwrap();
    until(|| other.count("/token") == 2).await;
    assert_eq!(home.posts(), 8, "no more than the configured number at once");
    home.server.script("/token", renewal());
    bell.notify_waiters();
    home.keeper.lanes_at_rest().await;
    assert_eq!(home.posts(), 41);
}

#[tokio::test]
async fn whose_token_expires_soonest_goes_first_and_a_caller_before_them() {
    let home = Home::with(|settings| settings.courtesy = Courtesy { concurrency: 1, per_minute: None }, |_| {}).await;
    home.edit(|session| session.due_at = None).await;
    let bell = home.hold(renewal());
    many(&home, 5).await;
    home.edit(|session| session.due_at = None).await;
    for number in 0..5 {
        let id = SessionRef::from_random([0, 0, 0, 9, number]);
        let old = home.vault.session(id).unwrap().unwrap();
        let mut change = home.vault.change(NOW);
        change.update(&old, &Session { due_at: Some(at(100 + u64::from(number))), ..old.value.clone() }).unwrap();
        change.commit().await.unwrap();
    }
    home.sleep_until(200);
    home.keeper.line_up(home.clock.now()).await.unwrap();
    until(|| home.posts() == 1).await;
    let caller = home.keeper.attend(home.id, Wish::NewToken).outcome();
    home.server.script("/token", renewal());
    let ring = async {
        tokio::task::yield_now().await;
        bell.notify_one();
    };
    let (outcome, ()) = tokio::join!(caller, ring);
    assert_eq!(outcome, Ok(Attended::Renewed));
    home.keeper.lanes_at_rest().await;
    let sent: Vec<_> = home.server.requests("/token").iter().map(|it| it.field("refresh_token").unwrap()).collect();
    let expected = ["rt-004", "rt-old", "rt-003", "rt-002", "rt-001", "rt-000"].map(|rt| format!("{rt}-0123456789"));
    assert_eq!(sent, expected);
}

/// A home whose breaker is open, and when it opened.
async fn broken() -> Home {
    let home = Home::new().await;
    many(&home, 20).await;
    home.server.script("/token", Reply::text(503, "text/html", ""));
    for second in 200.. {
        home.sleep_until(second);
        home.attend_to_all_due().await;
        if home.keeper.providers().values().all(|provider| provider.gate().is_broken()) {
            break;
        }
        assert!(second < 220, "the breaker does not open");
    }
    home
}

#[tokio::test]
async fn a_provider_that_is_down_is_left_alone_while_live_tokens_are_served() {
    let home = broken().await;
    let posts = home.posts();
    assert_eq!(home.token().as_deref(), Some("at-old-0123456789"));
    let untouched = SessionRef::from_random([0, 0, 0, 9, 0]);
    let error = home.keeper.attend(untouched, Wish::NewToken).outcome().await.unwrap_err();
    let KeeperError::ProviderDown { wait, .. } = error else { panic!("{error}") };
    assert!(wait >= Duration::from_secs(1), "{wait:?}");
    home.attend_to_all_due().await;
    assert_eq!(home.posts(), posts, "nothing leaves");
    let provider = home.provider();
    let (_, told) = provider.condition(&home.clock).failure.unwrap();
    assert!(told.contains("HTTP 503") && told.contains("breaker open, next try in"), "{told}");

    // The first try fails: it is the only one. By then nobody is held back for a reason of their own.
    home.clock.advance(Duration::from_mins(5));
    home.attend_to_all_due().await;
    assert_eq!(home.posts(), posts + 1);
    // The next one does not.
    home.server.script("/token", renewal());
    home.clock.advance(Duration::from_mins(5));
    home.attend_to_all_due().await;
    assert!(!provider.gate().is_broken());
    home.attend_to_all_due().await;
    let renewed = |number| home.vault.session(SessionRef::from_random([0, 0, 0, 9, number])).unwrap().unwrap();
    assert!((0..20).all(|number| renewed(number).value.refreshes == 1), "everybody is renewed");
    assert_eq!(provider.condition(&home.clock).failure, None);
}

#[tokio::test]
async fn a_provider_that_rejects_our_client_is_not_asked_by_every_session_again_and_again() {
    let home = Home::new().await;
    many(&home, 60).await;
    home.server.script("/token", Reply::json(401, &json!({"error": "invalid_client"})));
    for second in 200..300 {
        home.sleep_until(second);
        home.attend_to_all_due().await;
    }
    assert!((60..160).contains(&home.posts()), "some for each, and then one now and then: {}", home.posts());
    home.server.script("/token", renewal());
    for second in 300..380 {
        home.sleep_until(second);
        home.attend_to_all_due().await;
    }
    assert!(!home.provider().gate().is_broken());
}

#[tokio::test]
async fn what_one_session_is_told_to_wait_for_holds_for_all_of_the_provider() {
    let home = Home::new().await;
    many(&home, 1).await;
    home.sleep_until(200);
    home.server.script("/token", Reply::json(429, &json!({"error": "slow_down"})).with("Retry-After", "90"));
    assert!(home.attend(Wish::NewToken).await.is_err());
    let other = SessionRef::from_random([0, 0, 0, 9, 0]);
    home.server.script("/token", renewal());
    home.sleep_until(250);
    let error = home.keeper.attend(other, Wish::NewToken).outcome().await.unwrap_err();
    assert!(matches!(error, KeeperError::ProviderDown { wait, .. } if wait == Duration::from_secs(40)), "{error}");
    assert_eq!(home.posts(), 1);
    home.sleep_until(290);
    assert_eq!(home.keeper.attend(other, Wish::NewToken).outcome().await, Ok(Attended::Renewed));
}

/// A home whose provider may be asked once at a time.
async fn one_at_a_time() -> Home {
    Home::with(|settings| settings.courtesy = Courtesy { concurrency: 1, per_minute: None }, |_| {}).await
}

/// Somebody else's request to a provider of which nothing comes back.
async fn occupy<'a>(home: &'a Home, provider: &'a Provider) -> Pass<'a> {
    provider.gate().enter(&home.clock, Turn::of_person()).await.unwrap()
}

fn busy(seconds: u64) -> Sign {
    Sign::AsksToWait { why: "busy".to_owned(), wait: Duration::from_secs(seconds) }
}

#[tokio::test]
async fn what_is_refused_at_a_gate_is_begun_once_that_is_open_and_does_not_wait_for_the_next_lap() {
    let home = one_at_a_time().await;
    let provider = home.provider();
    let other = occupy(&home, &provider).await;
    home.sleep_until(250);
    home.begin_what_is_due().await;
    // By the time that it is told of the refusal, there is another gate.
    let fresh = Arc::new(home.server.provider());
    home.keeper.replace_providers(Providers::from([(fresh.settings().name.clone(), fresh)]), RETENTION);
    other.came_back(busy(90));
    home.keeper.lanes_at_rest().await;
    assert_eq!((home.posts(), home.session().refreshes), (1, 1));
}

#[tokio::test]
async fn a_lane_that_stops_at_a_closed_gate_rings_so_that_it_goes_on_when_that_opens() {
    let home = one_at_a_time().await;
    let provider = home.provider();
    let other = occupy(&home, &provider).await;
    home.sleep_until(250);
    home.begin_what_is_due().await;
    assert_eq!((home.keeper.next_try(), home.keeper.agenda_changed().now_or_never()), (None, None));
    other.came_back(busy(2));
    home.keeper.lanes_at_rest().await;
    assert_eq!(home.keeper.agenda_changed().now_or_never(), Some(()));
    assert_eq!(home.keeper.next_try(), Some(Duration::from_secs(2)));
    home.sleep_until(252);
    home.keeper.line_up(home.clock.now()).await.unwrap();
    home.keeper.lanes_at_rest().await;
    assert_eq!(home.session().refreshes, 1);
}

#[tokio::test]
async fn a_revocation_that_a_provider_does_not_take_keeps_no_session_from_its_refresh() {
    let home = one_at_a_time().await;
    let provider = home.provider();
    let trouble = Trouble { tries: 9, not_before: at(150), ..Trouble::default() };
    let state = State::Ended { reason: EndReason::LoggedOut, since: at(1) };
    let mut over = Session { id: SessionRef::from_random([8; 5]), state, trouble: Some(trouble), ..home.session() };
    over.due_at = Some(at(150));
    over.tokens.as_mut().unwrap().access.expires_at = at(100);
    insert(&home, &over).await;
    let bell = home.hold(renewal());
    home.sleep_until(200);
    let other = occupy(&home, &provider).await;
    home.begin_what_is_due().await;
    other.came_back(Sign::Alive);
    until(|| home.posts() + home.server.count("/revoke") > 0).await;
    assert_eq!((home.posts(), home.server.count("/revoke")), (1, 0));
    bell.notify_one();
    home.keeper.lanes_at_rest().await;
    assert_eq!(home.server.count("/revoke"), 1, "it has its turn, too");
}

#[tokio::test]
async fn once_told_to_stop_nobody_passes_the_gate_and_who_waits_there_is_told_at_once() {
    let home = one_at_a_time().await;
    let provider = home.provider();
    let other = occupy(&home, &provider).await;
    home.sleep_until(250);
    let caller = home.keeper.attend(home.id, Wish::NewToken).outcome();
    home.begin_what_is_due().await;
    home.stop.cancel();
    let told = tokio::time::timeout(Duration::from_secs(20), caller).await.expect("it waits on");
    assert_eq!(told, Err(KeeperError::Stopping));
    other.came_back(Sign::Alive);
    home.keeper.lanes_at_rest().await;
    assert_eq!((home.posts(), home.vault.unsettled().unwrap()), (0, vec![]));
}

#[tokio::test]
async fn how_long_a_discovery_document_is_to_be_left_alone_is_heeded_and_told() {
    const DISCOVERY: &str = "/.well-known/openid-configuration";
    let home = Home::new().await;
    let document = home.server.scripted(DISCOVERY);
    home.server.script(DISCOVERY, Reply::text(429, "text/plain", "").with("Retry-After", "90"));
    for second in [200, 250] {
        home.sleep_until(second);
        let error = home.attend(Wish::NewToken).await.unwrap_err();
        let KeeperError::ProviderDown { wait, .. } = error else { panic!("{error}") };
        assert_eq!((wait.as_secs(), home.session().due_at), (290 - second, Some(at(290))));
    }
    assert_eq!((home.server.count(DISCOVERY), home.posts()), (1, 0));
    home.server.script(DISCOVERY, document);
    home.server.script("/token", renewal());
    home.sleep_until(290);
    assert_eq!(home.attend(Wish::NewToken).await, Ok(Attended::Renewed));
}
