//! The gate without a network: what leaves when, in which order, and what does not.

use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;

use super::breaker::{FAULTS, SPAN};
use super::*;

fn courtesy(concurrency: usize, per_minute: Option<u32>) -> Courtesy {
    Courtesy { concurrency, per_minute }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn fault() -> Sign {
    Sign::Fault("nobody is there".to_owned())
}

/// Lets a request out at `now`, for nobody in particular.
fn send(state: &mut State, now: Duration) -> Result<Admission, Closed> {
    let turn = state.line_up(Turn::of_schedule(UnixSeconds(0)), Arc::default());
    let answer = state.ask(turn, now);
    state.leave(turn);
    match answer {
        Answer::Go(admission) => Ok(admission),
        Answer::Closed(closed) => Err(closed),
        Answer::NotBefore(at) => Err(Closed { why: "the rate".to_owned(), wait: at.saturating_sub(now) }),
        Answer::Behind => panic!("nobody is before it"),
    }
}

/// A state whose breaker opened at the returned time.
fn broken(random: f64) -> (State, Duration) {
    let mut state = State::new(courtesy(8, None));
    let mut now = seconds(100);
    while !state.is_broken() {
        let admission = send(&mut state, now).unwrap();
        now += seconds(1);
        state.came_back(admission, Some(fault()), now, random);
        assert!(now < seconds(200), "it does not open");
    }
    (state, now)
}

#[test]
fn no_more_than_the_configured_number_is_on_its_way() {
    let mut state = State::new(courtesy(2, None));
    let first = send(&mut state, seconds(1)).unwrap();
    send(&mut state, seconds(1)).unwrap();
    let third = state.line_up(Turn::of_caller(UnixSeconds(0)), Arc::default());
    assert_eq!(state.ask(third, seconds(1)), Answer::Behind);
    state.came_back(first, Some(Sign::Alive), seconds(2), 0.5);
    assert!(matches!(state.ask(third, seconds(2)), Answer::Go(_)));
}

#[test]
fn callers_go_before_the_schedule_and_the_soonest_to_expire_before_the_others() {
    let mut state = State::new(courtesy(100, None));
    let turns = [
        Turn::of_schedule(UnixSeconds(300)),
        Turn::of_schedule(UnixSeconds(100)),
        Turn::of_caller(UnixSeconds(900)),
        Turn::of_schedule(UnixSeconds(200)),
    ];
    let turns = turns.map(|turn| state.line_up(turn, Arc::default()));
    let mut order = Vec::new();
    while order.len() < turns.len() {
        let next = turns
            .iter()
            .position(|turn| !order.contains(&turn.clone()) && matches!(state.ask(*turn, seconds(1)), Answer::Go(_)));
        order.push(turns[next.expect("somebody is next")]);
    }
    assert_eq!(order, [turns[2], turns[1], turns[3], turns[0]]);
}

#[test]
fn after_an_outage_of_an_hour_ten_thousand_sessions_leave_at_the_configured_rate_the_soonest_to_expire_first() {
    const SESSIONS: i64 = 10_000;
    let (mut state, opened) = broken(1.0);
    state.be_courteous(courtesy(8, Some(20 * 60)), seconds(0));
    let mut now = opened;
    let end_of_outage = opened + seconds(3600);
    let mut tries = 0;
    while now < end_of_outage {
        match send(&mut state, now) {
            Ok(admission) => {
                tries += 1;
                assert!(send(&mut state, now).is_err(), "one try at a time");
                state.came_back(admission, Some(fault()), now, 1.0);
            }
            Err(closed) => now += closed.wait,
        }
    }
    assert!((60..=80).contains(&tries), "one try a minute in the end: {tries}");

    // Whoever is lined up meanwhile: the one that expires last came first.
    let mut line_up = |at| state.line_up(Turn::of_schedule(UnixSeconds(at)), Arc::default());
    let turns: Vec<_> = (0..SESSIONS).rev().map(&mut line_up).collect();
    let mut order = turns.clone();
    order.sort();
    let mut left = Vec::new();
    for turn in order {
        loop {
            match state.ask(turn, now) {
                Answer::Go(admission) => {
                    left.push((now, turn));
                    state.came_back(admission, Some(Sign::Alive), now, 0.5);
                    break;
                }
                Answer::NotBefore(at) => now = at,
                Answer::Closed(closed) => now += closed.wait,
                Answer::Behind => panic!("the soonest to expire is not next"),
            }
        }
    }
    assert_eq!(left.len(), turns.len());
    for window in left.windows(21) {
        assert!(window[20].0.saturating_sub(window[0].0) >= seconds(1), "more than twenty within a second");
    }
    let took = left.last().unwrap().0.saturating_sub(left[0].0);
    assert!(took < seconds(501), "and no slower than it has to be: {took:?}");
}

#[test]
fn a_rate_that_is_finer_than_timers_is_reached_and_not_exceeded() {
    let mut state = State::new(courtesy(256, Some(10_000 * 60)));
    let (mut now, mut left) = (seconds(100), 0_u32);
    while now < seconds(101) {
        while let Ok(admission) = send(&mut state, now) {
            left += 1;
            state.came_back(admission, Some(Sign::Alive), now, 0.5);
        }
        // Whoever waits is woken two milliseconds later, however short the wait was to be.
        now += Duration::from_millis(2);
    }
    assert!((9_900..=10_050).contains(&left), "{left} in a second");
}

#[test]
fn a_blink_does_not_open_the_breaker_and_a_success_in_between_neither() {
    let mut state = State::new(courtesy(100, None));
    for _ in 0..FAULTS * 3 {
        let admission = send(&mut state, seconds(1)).unwrap();
        state.came_back(admission, Some(fault()), seconds(1) + SPAN / 2, 0.5);
    }
    assert!(!state.is_broken(), "all of them failed within {SPAN:?}");
    let admission = send(&mut state, seconds(2)).unwrap();
    state.came_back(admission, Some(Sign::Alive), seconds(2), 0.5);
    for second in 3..3 + u64::from(FAULTS) - 1 {
        let admission = send(&mut state, seconds(second)).unwrap();
        state.came_back(admission, Some(fault()), seconds(second), 0.5);
    }
    assert!(!state.is_broken());
}

#[test]
fn an_open_breaker_says_when_the_next_try_is_lets_one_out_and_closes_on_success() {
    let (mut state, opened) = broken(1.0);
    let closed = send(&mut state, opened).unwrap_err();
    assert_eq!(closed.wait, seconds(2));
    assert!(closed.why.contains("nobody is there"), "{}", closed.why);
    let now = opened + closed.wait;
    let first = send(&mut state, now).unwrap();
    assert!(send(&mut state, now).is_err());
    state.came_back(first, Some(fault()), now, 1.0);
    assert_eq!(send(&mut state, now).unwrap_err().wait, seconds(4), "the wait doubles");
    let now = now + seconds(4);
    let second = send(&mut state, now).unwrap();
    state.came_back(second, Some(Sign::Alive), now, 1.0);
    assert!(!state.is_broken());
    assert!(send(&mut state, now).is_ok() && send(&mut state, now).is_ok());
}

#[test]
fn a_try_that_was_not_sent_is_the_next_ones() {
    let (mut state, opened) = broken(0.0);
    let now = opened + seconds(1);
    let admission = send(&mut state, now).unwrap();
    state.came_back(admission, None, now, 0.0);
    assert!(state.is_broken() && send(&mut state, now).is_ok());
}

#[test]
fn what_was_on_its_way_when_the_breaker_opened_does_not_move_the_next_try() {
    let mut state = State::new(courtesy(100, None));
    let late = send(&mut state, seconds(1)).unwrap();
    for second in 1..=u64::from(FAULTS) {
        let admission = send(&mut state, seconds(second)).unwrap();
        state.came_back(admission, Some(fault()), seconds(second), 1.0);
    }
    let before = state.closed(seconds(6)).unwrap();
    state.came_back(late, Some(fault()), seconds(6), 1.0);
    assert_eq!(state.closed(seconds(6)), Some(before));
}

#[test]
fn a_provider_that_asks_to_wait_is_left_alone_by_everybody_until_then() {
    let mut state = State::new(courtesy(8, None));
    let admission = send(&mut state, seconds(1)).unwrap();
    let sign = Sign::AsksToWait { why: "busy".to_owned(), wait: seconds(120) };
    state.came_back(admission, Some(sign), seconds(1), 0.5);
    let caller = state.line_up(Turn::of_caller(UnixSeconds(0)), Arc::default());
    assert_eq!(state.ask(caller, seconds(21)), Answer::Closed(Closed { why: "busy".to_owned(), wait: seconds(100) }));
    assert!(!state.is_broken(), "it answers");
    assert!(matches!(state.ask(caller, seconds(121)), Answer::Go(_)));
}

#[tokio::test]
async fn whoever_stops_waiting_holds_nobody_up() {
    let (gate, clock) = (Gate::new("corp".parse().unwrap(), courtesy(1, None)), Clock::manual(UnixSeconds(1000)));
    let first = gate.enter(&clock, Turn::of_caller(UnixSeconds(0))).await.unwrap();
    {
        let impatient = gate.enter(&clock, Turn::of_caller(UnixSeconds(1)));
        tokio::pin!(impatient);
        assert!(futures_util::poll!(&mut impatient).is_pending());
    }
    let patient = gate.enter(&clock, Turn::of_schedule(UnixSeconds(2)));
    tokio::pin!(patient);
    assert!(futures_util::poll!(&mut patient).is_pending());
    first.came_back(Sign::Alive);
    drop(patient.await.unwrap());
    assert!(
        gate.enter(&clock, Turn::of_schedule(UnixSeconds(3))).await.is_ok(),
        "a pass that was dropped is given back"
    );
}

#[test]
fn a_person_goes_first_and_past_an_open_breaker_but_past_nothing_else() {
    let (mut state, opened) = broken(1.0);
    let person = state.line_up(Turn::of_person(), Arc::default());
    let Answer::Go(login) = state.ask(person, opened) else { panic!("the person is held up") };
    state.came_back(login, Some(fault()), opened, 1.0);
    assert_eq!(send(&mut state, opened).unwrap_err().wait, seconds(2), "it was not the try");

    let person = state.line_up(Turn::of_person(), Arc::default());
    let Answer::Go(login) = state.ask(person, opened) else { panic!("the person is held up") };
    state.came_back(login, Some(Sign::Alive), opened, 1.0);
    assert!(!state.is_broken(), "what answers a person answers everybody");

    let mut state = State::new(courtesy(1, Some(60)));
    let caller = state.line_up(Turn::of_caller(UnixSeconds(0)), Arc::default());
    let person = state.line_up(Turn::of_person(), Arc::default());
    assert_eq!(state.ask(caller, seconds(1)), Answer::Behind);
    let Answer::Go(login) = state.ask(person, seconds(1)) else { panic!("the person is not next") };
    let second = state.line_up(Turn::of_person(), Arc::default());
    assert_eq!(state.ask(second, seconds(1)), Answer::Behind, "one at a time");
    let sign = Sign::AsksToWait { why: "busy".to_owned(), wait: seconds(60) };
    state.came_back(login, Some(sign), seconds(1), 0.5);
    assert_eq!(state.ask(second, seconds(2)), Answer::Closed(Closed { why: "busy".to_owned(), wait: seconds(59) }));
    let Answer::Go(login) = state.ask(second, seconds(61)) else { panic!("the wait is over") };
    state.came_back(login, Some(Sign::Alive), seconds(61), 0.5);
    let third = state.line_up(Turn::of_person(), Arc::default());
    assert_eq!(state.ask(third, seconds(61)), Answer::NotBefore(seconds(62)), "nor faster than the rate");
}

#[test]
fn who_waits_by_a_slow_rate_does_not_when_a_quicker_one_is_configured() {
    let mut state = State::new(courtesy(8, Some(1)));
    let _sent = send(&mut state, seconds(1)).unwrap();
    let next = state.line_up(Turn::of_caller(UnixSeconds(0)), Arc::default());
    assert_eq!(state.ask(next, seconds(2)), Answer::NotBefore(seconds(61)));
    state.be_courteous(courtesy(8, Some(60)), seconds(2));
    assert_eq!(state.ask(next, seconds(2)), Answer::NotBefore(seconds(3)));
    state.be_courteous(courtesy(8, Some(60)), seconds(9));
    assert!(matches!(state.ask(next, seconds(3)), Answer::Go(_)), "one that stays changes nothing");
}

#[test]
fn every_request_counts_however_many_one_turn_takes() {
    let mut state = State::new(courtesy(8, Some(60)));
    let login = send(&mut state, seconds(1)).unwrap();
    // Discovery, code, keys and user.
    (0..4).for_each(|_| state.leaves());
    state.came_back(login, Some(Sign::Alive), seconds(1), 0.5);
    let next = state.line_up(Turn::of_caller(UnixSeconds(0)), Arc::default());
    assert_eq!(state.ask(next, seconds(1)), Answer::NotBefore(seconds(5)));
    let Answer::Go(unsent) = state.ask(next, seconds(5)) else { panic!("the four are over") };
    state.came_back(unsent, None, seconds(5), 0.5);
    state.leaves();
    let next = state.line_up(Turn::of_caller(UnixSeconds(0)), Arc::default());
    assert_eq!(state.ask(next, seconds(6)), Answer::NotBefore(seconds(7)), "one that was not sent pays for no other");
}

#[test]
fn what_stays_until_somebody_mends_it_counts_unless_it_is_of_one_session_only() {
    let place = crate::provider::Place::Token;
    let said = |error: &str| Fault::Said { place, error: error.to_owned(), description: None };
    let counts = |fault: Fault| matches!(Sign::from(&RefreshOutcome::Misconfigured(fault)), Sign::Fault(_));
    assert!(counts(said("invalid_client")) && counts(Fault::Redirect { place, status: 302 }));
    assert!(!counts(said("invalid_scope")) && !counts(said("unauthorized_client")));
    let unheard_of = Fault::Unfamiliar { error: "shop_closed".to_owned(), description: None };
    assert_eq!(Sign::from(&RefreshOutcome::Misconfigured(unheard_of)), Sign::Alive);
    let not_there = Fault::NotThere { place, status: 404 };
    assert!(matches!(Sign::from(&RefreshOutcome::Transient { fault: not_there, retry_after: None }), Sign::Fault(_)));
}

#[test]
fn what_was_never_asked_of_a_provider_says_nothing_about_it() {
    let opened_at = "https://old.example".to_owned();
    let another = Fault::AnotherIssuer { opened_at, configured: "https://id.example".to_owned() };
    assert_eq!(Sign::from(&RefreshOutcome::Misconfigured(another)), Sign::Nothing, "an open breaker stays open");
    for fault in [Fault::NoOperation { operation: "renew" }, Fault::Unsendable { place: crate::provider::Place::Token }]
    {
        assert_eq!(Sign::from(&RefreshOutcome::NotSent(fault)), Sign::Nothing, "and a closed one closed");
    }
}
