//! A day in the life, compressed: many sessions with tokens of ten seconds at three real providers, which are killed, cut off and
//! lose answers, while the daemon is killed and restarted and its callers go on asking.
//!
//! No session is lost that its provider did not end, and every loss is told with its reason. The report is printed.

mod peers;
mod report;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use rand::Rng as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokenkeeper_protocol::request::{Selector, TokenRequest};
use tokenkeeper_protocol::{Code, Reply, Request, SessionRef};

use self::peers::{FIRST_LIFE, Kind, Peer};
use self::report::{Report, Tally};
use super::extent::{self, times};
use super::kills::pause;
use crate::support::config::{EVERYTHING, me};
use crate::support::deadline::{Deadline, Stopwatch, unix_seconds};
use crate::support::wire::{self, Wire, complete};
use crate::support::{Config, Daemon, Home};

/// How much may be asked of each provider: more than it can do, so that what is measured is the provider.
const COURTESY: &str = "rate = \"200/s\"\nconcurrency = 8";
/// Callers that ask for tokens all the time.
const CALLERS: u64 = 2;

/// Whose a session is.
struct Person {
    peer: usize,
    user: String,
}

type People = BTreeMap<SessionRef, Person>;

#[test]
fn no_session_is_lost_that_its_provider_did_not_end() {
    let mut random = extent::random();
    // Sessions at each, and how long the day is.
    let shares = [(Kind::Strict, times(24, 500)), (Kind::Grace, times(16, 150)), (Kind::Stays, times(20, 350))];
    let day = Duration::from_secs(times(35, 600) as u64);

    let mut peers: Vec<_> = shares.iter().map(|(kind, _)| Peer::start(*kind)).collect();
    let home = home(&peers);
    let mut daemon = Some(Daemon::start(&home));
    let watch = Stopwatch::start();
    let people = log_everybody_in(&home, &peers, &shares.map(|(_, number)| number));
    peers.iter_mut().for_each(Peer::hurry);
    replace_first_tokens(&home, &people);
    println!("{} sessions opened in {:.0?}", people.len(), watch.elapsed());

    let mut tally = Tally::new(peers.len());
    let before = home.syslog.mark();
    let over = AtomicBool::new(false);
    let asked = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (home, people, over) = (&home, &people, &over);
                let random = StdRng::seed_from_u64(random.random());
                scope.spawn(move || ask_on_and_on(home, people, random, over))
            })
            .collect();
        let end = Deadline::after(day);
        while end.left().is_some() {
            pause(random.random_range(500..times(2_500, 12_000) as u64));
            trouble(&mut random, &home, &mut daemon, &mut peers, &people, &mut tally);
            tally.note_status(&home);
        }
        over.store(true, Ordering::Relaxed);
        callers.into_iter().map(|caller| caller.join().unwrap()).collect::<Vec<_>>()
    });
    let during = home.syslog.records()[before..].to_vec();

    let lost = settle(&home, &peers, &people);
    let report = Report::new(&home, &peers, &people, &tally, &asked, &lost, &during, day);
    println!("{report}");
    assert_eq!(report.unexplained(), Vec::<String>::new(), "lost, and no word of that at the provider or here");
    assert!(report.refreshes() >= people.len(), "too few refreshes to prove anything: {}", report.refreshes());
}

fn home(peers: &[Peer]) -> Home {
    let home = Home::new(&Config::empty());
    let secret = home.path("config/secret").display().to_string();
    let mut config = Config::empty();
    for peer in peers {
        config = config.rule(&me(), EVERYTHING, peer.name(), "own").more(&peer.table(&secret, COURTESY));
    }
    home.configure(&config);
    home
}

fn log_everybody_in(home: &Home, peers: &[Peer], shares: &[usize]) -> People {
    let at = |index: usize| -> Vec<(SessionRef, Person)> {
        let peer: &Peer = &peers[index];
        let mut wire = Wire::connect(&home.socket());
        let one = |number| {
            let user = peer.user(number);
            let Reply::LoginBegun(begun) = wire.ask(&wire::begin(peer.name())) else { panic!("no login begins") };
            let back = peer.log_in(&user, begun.authorize_url.expose());
            match wire.ask(&complete(begun.login_id, &back)) {
                Reply::LoggedIn(logged_in) => (logged_in.session, Person { peer: index, user }),
                other => panic!("{user} is not logged in at {}: {other:?}", peer.name()),
            }
        };
        (0..shares[index]).map(one).collect()
    };
    std::thread::scope(|scope| {
        let logins: Vec<_> = (0..peers.len()).map(|index| scope.spawn(move || at(index))).collect();
        logins.into_iter().flat_map(|login| login.join().unwrap()).collect()
    })
}

/// Asks for longer than the new tokens live, so that each session gets one.
fn replace_first_tokens(home: &Home, people: &People) {
    let mut wire = Wire::connect(&home.socket());
    for session in people.keys() {
        let mut ask = || match wire.ask(&token_of(*session, Some(FIRST_LIFE - 1))) {
            Reply::Problem(problem) if problem.code == Code::LifetimeTooShort => true,
            Reply::Problem(problem) if problem.code == Code::TryLater => false,
            // The first one, in the very second that it was obtained in.
            Reply::Token(_) => false,
            other => panic!("{session} got no new token: {other:?}"),
        };
        while !ask() {
            pause(200);
        }
    }
}

/// One thing that goes wrong.
fn trouble(
    random: &mut StdRng,
    home: &Home,
    daemon: &mut Option<Daemon>,
    peers: &mut [Peer],
    people: &People,
    tally: &mut Tally,
) {
    let index = random.random_range(0..peers.len());
    let (peer, told) = (&mut peers[index], &mut tally.peers[index]);
    match random.random_range(0..100) {
        0..25 => {
            peer.kill();
            pause(random.random_range(100..2_000));
            tally.note_status(home);
            peer.revive();
            tally.peers[index].restarts += 1;
        }
        25..50 => {
            peer.network.cut();
            pause(random.random_range(300..4_000));
            tally.note_status(home);
            peer.network.mend();
            tally.peers[index].cuts += 1;
        }
        50..65 => {
            let number = random.random_range(1..4);
            peer.network.lose_answers(number);
            told.answers_lost += number;
        }
        65..75 => {
            let at_peer: Vec<_> = people.values().filter(|person| person.peer == index).collect();
            let user = &at_peer[random.random_range(0..at_peer.len())].user;
            peer.end_grants(user);
            told.ended.insert(user.clone());
        }
        75..88 => {
            daemon.take().expect("it runs").kill();
            pause(random.random_range(0..1_500));
            *daemon = Some(Daemon::start(home));
            tally.kills += 1;
        }
        _ => {
            let mut stopped = daemon.take().expect("it runs");
            stopped.signal(Signal::SIGTERM);
            stopped.wait_for_exit();
            *daemon = Some(Daemon::start(home));
            tally.stops += 1;
        }
    }
}

/// What a caller was told, how often.
#[derive(Default)]
pub(crate) struct Asked {
    served: usize,
    later: usize,
    login_required: usize,
    nobody_there: usize,
}

/// Asks for tokens of one session after the other.
fn ask_on_and_on(home: &Home, people: &People, mut random: StdRng, over: &AtomicBool) -> Asked {
    let sessions: Vec<_> = people.keys().copied().collect();
    let mut asked = Asked::default();
    let mut connection = None;
    while !over.load(Ordering::Relaxed) {
        pause(5);
        let session = sessions[random.random_range(0..sessions.len())];
        let wire = connection.take().map_or_else(|| Wire::try_connect(&home.socket()), Ok);
        let answer = wire.and_then(|mut wire| Ok((wire.try_ask(&token_of(session, None))?, wire)));
        let Ok((reply, wire)) = answer else {
            asked.nobody_there += 1;
            continue;
        };
        connection = Some(wire);
        match reply {
            Reply::Token(token) => {
                assert!(token.expires_at.0 >= unix_seconds() - 1, "{session} was served an expired token");
                asked.served += 1;
            }
            Reply::Problem(problem) => match problem.code {
                Code::TryLater => asked.later += 1,
                Code::LoginRequired => asked.login_required += 1,
                _ => panic!("{session}: {problem:?}"),
            },
            other => panic!("{session}: {other:?}"),
        }
    }
    asked
}

fn token_of(session: SessionRef, min_valid_seconds: Option<u32>) -> Request {
    Request::Token(TokenRequest { selector: Selector::Session(session), min_valid_seconds, timeout_ms: Some(10_000) })
}

/// When nothing goes wrong any more: every session is served a token that its provider accepts, or is lost, with what its caller
/// is told.
fn settle(home: &Home, peers: &[Peer], people: &People) -> BTreeMap<SessionRef, String> {
    let deadline = Deadline::after(Duration::from_mins(3));
    let mut wire = Wire::connect(&home.socket());
    let mut lost = BTreeMap::new();
    for (session, person) in people {
        loop {
            let reply = wire.ask(&token_of(*session, None));
            match &reply {
                // Another one may have taken its place before the provider was asked about it.
                Reply::Token(token) if peers[person.peer].accepts(token.access_token.expose()) => break,
                Reply::Problem(problem) if problem.code == Code::LoginRequired => {
                    lost.insert(*session, problem.message.clone());
                    break;
                }
                Reply::Token(_) => {}
                Reply::Problem(problem) if problem.code == Code::TryLater => {}
                other => panic!("{session}: {other:?}"),
            }
            assert!(deadline.left().is_some(), "{session} of {} does not come to rest: {reply:?}", person.user);
            pause(100);
        }
    }
    lost
}
