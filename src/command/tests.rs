//! Requests over a whole service, as a front end makes them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokenkeeper_protocol::reply::{SessionsPage, TokenReply};
use tokenkeeper_protocol::request::{HistoryRequest, Selector, SessionsRequest, TokenRequest};
use tokenkeeper_protocol::{Code, Problem, Reply, Request, Secret, SessionRef};

use super::{Answer, InForce, Meter, Service, Vitals};
use crate::audit::{Outbox, Tally, What};
use crate::domain::{LoginReason, Owner, Peer, Refusal, Session, State};
use crate::keeper::tests::{Home, at, peer, renewal, until};
use crate::keeper::{Eraser, Wish};
use crate::policy::{Action, On, Reach, Rule, Rules, Who};

/// A service that lets uid 1000 do everything with all sessions, and uid 1001 with its own.
pub(crate) fn service(home: &Home) -> Service {
    let may = Action::ALL.to_vec();
    let rule = |uid, reach| Rule {
        who: Who::User(uid),
        may: may.clone(),
        on: On::Sessions { provider: None, reach },
        source: String::new(),
    };
    let rules = Rules::from(vec![rule(1000, Reach::All), rule(1001, Reach::Own)]);
    let rotation = Arc::new(super::keys::tests::rotation(home));
    Service {
        keeper: Arc::clone(&home.keeper),
        in_force: Arc::new(ArcSwap::from_pointee(InForce { rules, ..InForce::default() })),
        tally: Arc::new(Tally::default()),
        meter: Arc::new(Meter::default()),
        rotation: Arc::clone(&rotation),
        eraser: Arc::new(Eraser::new(Arc::clone(&home.keeper), rotation, Some("age1host".to_owned()))),
        lock: None,
        vitals: Vitals {
            started_at: at(0),
            identity_source: "a test".to_owned(),
            state_dir: PathBuf::from("/"),
            why_no_units: None,
            config_refused: Mutex::default(),
            audit_fault: Box::new(|| None),
        },
    }
}

pub(crate) fn token_request(id: SessionRef) -> Request {
    Request::Token(TokenRequest { selector: Selector::Session(id), min_valid_seconds: None, timeout_ms: None })
}

fn history_request(session: SessionRef) -> Request {
    Request::History(HistoryRequest { session, cursor: None })
}

fn decoded(answer: Answer) -> Reply {
    let encoded = answer.encoded();
    Reply::decode(encoded.0, &encoded.1).unwrap()
}

pub(super) async fn ask(service: &Service, peer: &Arc<Peer>, request: Request) -> Reply {
    match service.answer_at_once(peer, &request) {
        Some(answer) => decoded(answer),
        None => decoded(service.answer(peer, request).await),
    }
}

pub(super) async fn token(service: &Service, peer: &Arc<Peer>, request: Request) -> Result<TokenReply, Problem> {
    match ask(service, peer, request).await {
        Reply::Token(token) => Ok(token),
        Reply::Problem(problem) => Err(problem),
        other => panic!("{other:?}"),
    }
}

async fn list(service: &Service, request: SessionsRequest) -> SessionsPage {
    match ask(service, &Arc::new(peer(1000)), Request::Sessions(request)).await {
        Reply::Sessions(page) => page,
        other => panic!("{other:?}"),
    }
}

pub(super) fn hand_outs(home: &Home) -> usize {
    let events = home.vault.pending(1000).unwrap();
    events.iter().filter(|(_, event)| matches!(event.what, What::TokenHandedOut { .. })).count()
}

async fn insert(home: &Home, sessions: impl IntoIterator<Item = Session>) {
    let mut change = home.vault.change(at(0));
    for session in sessions {
        change.insert(&session).unwrap();
    }
    change.commit().await.unwrap();
}

fn needs_login(session: Session, since: u64, description: &str) -> Session {
    let reason = LoginReason::Refused(Refusal {
        error: "invalid_grant".to_owned(),
        description: Some(description.to_owned()),
        ..Refusal::default()
    });
    Session { state: State::NeedsLogin { reason, since: at(since) }, tokens: None, due_at: None, ..session }
}

pub(super) fn numbered(home: &Home, number: u16) -> Session {
    let [a, b] = number.to_be_bytes();
    Session { id: SessionRef::from_random([a, b, 0, 0, 1]), ..home.session() }
}

#[tokio::test]
async fn a_history_tells_who_got_which_token_and_how_it_was_refreshed() {
    let home = Home::new().await;
    let (service, alice) = (service(&home), Arc::new(peer(1000)));
    home.sleep_until(200);
    home.server.script("/token", crate::provider::scripted::Reply::text(503, "text/html", ""));
    home.keeper.attend(home.id, Wish::Due).outcome().await.unwrap_err();
    token(&service, &alice, token_request(home.id)).await.unwrap();
    home.sleep_until(299);
    home.server.script("/token", renewal());
    for _ in 0..3 {
        token(&service, &alice, token_request(home.id)).await.unwrap();
    }
    let Reply::History(page) = ask(&service, &alice, history_request(home.id)).await else { panic!("no history") };
    let told = page.entries.iter().map(|entry| (entry.event.as_str(), entry.peer.as_deref(), entry.at));
    let (by_alice, handed_out) = (Some("uid 1000 (pid 1)"), "token_handed_out");
    let expected = [
        (handed_out, by_alice, at(299)),
        ("refresh_done", None, at(299)),
        (handed_out, by_alice, at(200)),
        ("refresh_failed", None, at(200)),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert_eq!((page.entries[0].detail.as_str(), page.next), ("generation: 2", None));
    assert!(page.entries[3].detail.ends_with(", needs_login: false"), "{:?}", page.entries[3]);
}

#[tokio::test]
async fn a_history_of_the_longest_words_fits_into_frames_and_misses_nothing() {
    let home = Home::new().await;
    let (service, alice) = (service(&home), Arc::new(peer(1000)));
    for number in 0..120_i64 {
        let old = home.vault.session(home.id).unwrap().unwrap();
        let (words, provider) = ("\u{202e}".repeat(500), old.value.provider.clone());
        let what = What::LoginCompleted { peer: words.clone(), provider, session: home.id, user: words };
        let mut change = home.vault.change(at(0));
        change.update(&old, &old.value).unwrap().audit(what).unwrap();
        change.commit().await.unwrap();
        for uid in 0..if number > 100 { 8 } else { 0 } {
            let peer = Peer { unit: Some(format!("{}.service", "\u{202e}".repeat(80))), ..peer(uid) };
            let mut change = home.vault.change(at(0));
            change.hand_out(&peer, home.id, old.value.told + 1, 1).unwrap();
            change.commit().await.unwrap();
        }
    }
    let (mut entries, mut cursor) = (0, None);
    loop {
        let request = Request::History(HistoryRequest { session: home.id, cursor });
        let Reply::History(page) = ask(&service, &alice, request).await else { panic!("no history") };
        entries += page.entries.len();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(entries, 100 + 19 * 8);
}

#[tokio::test]
async fn to_a_peer_without_a_rule_a_session_reads_the_same_as_none() {
    let home = Home::new().await;
    let (service, stranger) = (service(&home), Arc::new(peer(7)));
    let none = SessionRef::from_random([9; 5]);
    for (is, is_not) in [
        (token_request(home.id), token_request(none)),
        (Request::Session(home.id), Request::Session(none)),
        (Request::Logout(home.id), Request::Logout(none)),
        (history_request(home.id), history_request(none)),
    ] {
        for peer in [stranger.clone(), Arc::new(peer(1001))] {
            let told = [(is.clone(), home.id), (is_not.clone(), none)].map(|(request, id)| (request, id, peer.clone()));
            let mut answers = Vec::new();
            for (request, id, peer) in told {
                let Reply::Problem(mut problem) = ask(&service, &peer, request).await else { panic!("no problem") };
                problem.message = problem.message.replace(id.as_str(), "REF");
                problem.audit_reference = None;
                answers.push(problem);
            }
            assert_eq!(answers[0], answers[1]);
        }
    }
    assert!(home.session().state.is_active());
}

#[tokio::test]
async fn a_rule_that_goes_away_during_a_refresh_keeps_its_token_back() {
    let home = Home::new().await;
    let (service, alice) = (service(&home), Arc::new(peer(1000)));
    home.sleep_until(300);
    let bell = home.hold(renewal());
    let (answer, ()) = tokio::join!(token(&service, &alice, token_request(home.id)), async {
        until(|| home.posts() == 1).await;
        service.in_force.store(Arc::new(InForce { loaded_at: at(300), ..InForce::default() }));
        bell.notify_one();
    });
    assert_eq!(answer.unwrap_err().code, Code::Denied);
    assert_eq!(hand_outs(&home), 0);
}

#[tokio::test]
async fn a_refresh_that_fails_costs_only_those_who_asked_for_more_than_is_left() {
    let home = Home::new().await;
    let (service, alice) = (service(&home), Arc::new(peer(1000)));
    home.sleep_until(290);
    home.server.script("/token", crate::provider::scripted::Reply::text(503, "text/html", ""));
    let old = token(&service, &alice, token_request(home.id)).await.unwrap();
    assert_eq!(old.access_token, Secret::from("at-old-0123456789"));
    let selector = Selector::Session(home.id);
    let picky = TokenRequest { selector, min_valid_seconds: Some(60), timeout_ms: None };
    let problem = token(&service, &alice, Request::Token(picky)).await.unwrap_err();
    assert_eq!((problem.code, problem.retry_after_ms.is_some()), (Code::TryLater, true));
    assert_eq!(home.posts(), 1, "not before the wait is over");
}

#[tokio::test]
async fn among_many_sessions_the_only_active_one_is_found_and_several_are_named() {
    let home = Home::new().await;
    let (service, alice) = (service(&home), Arc::new(peer(1000)));
    insert(&home, (0..300).map(|number| needs_login(numbered(&home, number), u64::from(number), "gone"))).await;
    let provider = home.session().provider;
    let request = || {
        let selector = Selector::Only { provider: provider.clone(), user: None };
        Request::Token(TokenRequest { selector, min_valid_seconds: None, timeout_ms: None })
    };
    assert_eq!(token(&service, &alice, request()).await.unwrap().session, home.id);

    insert(&home, (300..400).map(|number| numbered(&home, number))).await;
    let problem = token(&service, &alice, request()).await.unwrap_err();
    assert_eq!(problem.code, Code::Ambiguous);
    assert!(problem.message.contains(", and more") && problem.message.len() < 500, "{}", problem.message);

    // To a peer that may use its own only, none of these is there.
    let bob = Arc::new(peer(1001));
    assert_eq!(token(&service, &bob, request()).await.unwrap_err().code, Code::NotFound);
    insert(
        &home,
        [(500, 5), (501, 9), (502, 7)].map(|(number, since)| Session {
            opened_by: Owner::Uid(1001),
            ..needs_login(numbered(&home, number), since, "gone")
        }),
    )
    .await;
    let problem = token(&service, &bob, request()).await.unwrap_err();
    let last = numbered(&home, 501).id;
    assert_eq!((problem.code, problem.session, problem.since), (Code::LoginRequired, Some(last), Some(at(9))));
}

#[tokio::test]
async fn users_who_share_a_service_do_not_get_each_others_tokens() {
    let home = Home::new().await;
    let service = service(&home);
    let in_cron = |uid| Owner::Unit { unit: "cron.service".to_owned(), uid };
    let bob = Arc::new(Peer { unit: Some("cron.service".to_owned()), ..peer(1001) });
    let alices = Session { opened_by: in_cron(1002), ..numbered(&home, 1) };
    let (id, provider) = (alices.id, alices.provider.clone());
    insert(&home, [alices]).await;
    let only = |provider| {
        let selector = Selector::Only { provider, user: None };
        Request::Token(TokenRequest { selector, min_valid_seconds: None, timeout_ms: None })
    };
    assert_eq!(token(&service, &bob, token_request(id)).await.unwrap_err().code, Code::NotFound);
    assert_eq!(token(&service, &bob, only(provider.clone())).await.unwrap_err().code, Code::NotFound);
    let bobs = Session { opened_by: in_cron(1001), ..numbered(&home, 2) };
    let id = bobs.id;
    insert(&home, [bobs]).await;
    assert_eq!(token(&service, &bob, only(provider)).await.unwrap().session, id);
}

#[tokio::test]
async fn the_sessions_of_a_unix_user_are_listed_found_and_ended_by_it_whoever_opened_them() {
    let home = Home::new().await;
    let service = service(&home);
    let (carol, provider) = (Arc::new(peer(1002)), home.session().provider);
    let named = |number, name: &str| {
        let mut session = numbered(&home, number);
        session.user.name = name.parse().unwrap();
        session
    };
    // Of two names that interleave, more than fit on a page; somebody else's; and her own login as somebody else.
    let sessions = (0..300).map(|number| named(number, if number % 3 == 0 { "carol" } else { "carol2" }));
    let foreign = (300..400).map(|number| Session { opened_by: Owner::Uid(1002), ..named(number, "mallory") });
    insert(&home, sessions.chain(foreign)).await;
    let on = On::Sessions { provider: Some(provider.clone()), reach: Reach::User };
    let rule = Rule { who: Who::User(1002), may: Action::ALL.to_vec(), on, source: String::new() };
    let mut rules = Rules::from(vec![rule]);
    rules.users.add(provider.clone(), 1002, "carol".parse().unwrap());
    rules.users.add(provider.clone(), 1002, "carol2".parse().unwrap());
    service.in_force.store(Arc::new(InForce { rules, ..InForce::default() }));

    let (mut seen, mut request) = (Vec::new(), SessionsRequest::default());
    loop {
        let Reply::Sessions(page) = ask(&service, &carol, Request::Sessions(request.clone())).await else { panic!() };
        seen.extend(page.sessions.iter().map(|row| row.session));
        request.cursor = page.next;
        if page.next.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..300).map(|number| numbered(&home, number).id).collect::<Vec<_>>());

    let foreign = numbered(&home, 300).id;
    assert_eq!(token(&service, &carol, token_request(foreign)).await.unwrap_err().code, Code::NotFound);
    assert!(token(&service, &carol, token_request(seen[0])).await.is_ok());
    let Reply::LoggedOut(_) = ask(&service, &carol, Request::Logout(seen[1])).await else { panic!("not ended") };
    assert!(matches!(ask(&service, &carol, Request::Session(foreign)).await, Reply::Problem(_)));

    let selector = Selector::Only { provider: provider.clone(), user: Some("mallory".parse().unwrap()) };
    let mallory = Request::Token(TokenRequest { selector, min_valid_seconds: None, timeout_ms: None });
    assert_eq!(token(&service, &carol, mallory).await.unwrap_err().code, Code::NotFound);
    let selector = Selector::Only { provider, user: None };
    let any = Request::Token(TokenRequest { selector, min_valid_seconds: None, timeout_ms: None });
    assert_eq!(token(&service, &carol, any).await.unwrap_err().code, Code::Ambiguous);
}

#[tokio::test]
async fn a_list_with_the_longest_words_fits_into_frames_and_misses_nobody() {
    let home = Home::new().await;
    let service = service(&home);
    let (reason, device) = ("x".repeat(800), "y".repeat(256));
    let long = |number| Session {
        device: Some(device.clone()),
        opened_by: Owner::Unit { unit: format!("{}.service", "z".repeat(240)), uid: 1000 },
        ..needs_login(numbered(&home, number), 1, &reason)
    };
    insert(&home, (0..250).map(long)).await;
    let (mut seen, mut request) = (Vec::new(), SessionsRequest::default());
    loop {
        let page = list(&service, request.clone()).await;
        seen.extend(page.sessions.iter().map(|row| row.session));
        request.cursor = page.next;
        if page.next.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 251);
    seen.dedup();
    assert_eq!(seen.len(), 251);
}

#[tokio::test]
async fn who_does_not_want_to_wait_is_told_that_the_refresh_goes_on() {
    let home = Home::new().await;
    let (service, alice) = (service(&home), Arc::new(peer(1000)));
    home.sleep_until(300);
    let bell = home.hold(renewal());
    let selector = Selector::Session(home.id);
    let hasty = TokenRequest { selector, min_valid_seconds: None, timeout_ms: Some(0) };
    let problem = token(&service, &alice, Request::Token(hasty)).await.unwrap_err();
    assert_eq!(problem.code, Code::TryLater);
    bell.notify_one();
    tokio::time::timeout(Duration::from_secs(20), async {
        let answer = token(&service, &alice, token_request(home.id)).await.unwrap();
        assert_eq!(answer.access_token, Secret::from("at-new"));
    })
    .await
    .unwrap();
    assert_eq!(home.posts(), 1);
}
