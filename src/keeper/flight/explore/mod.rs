//! Every order in which a flight and others can meet, tried out: the real decisions, on a model of store, provider and network.
//!
//! [`world`] is what there is, [`moves`] what can happen next, [`oracle`] the provider, [`rules`] what must hold in each state and
//! at the end of each. The search is exhaustive: all states that can be reached within the budget of what goes wrong.

mod flying;
mod moves;
mod oracle;
mod rules;
mod world;

use std::collections::{HashMap, HashSet, VecDeque};

use self::moves::Move;
use self::oracle::Rotation;
use self::world::{Budget, World};

/// From where a state was reached, and how.
type Trail = HashMap<u64, (u64, Move)>;

/// Visits every state once; returns how many there are, and how many of them lost the session.
fn explore(start: World) -> (usize, usize) {
    let (mut trail, mut good) = (Trail::new(), HashSet::new());
    let (mut losses, first) = (0, start.key());
    trail.insert(first, (first, Move::Start));
    let mut queue = VecDeque::from([start]);
    while let Some(world) = queue.pop_front() {
        let key = world.key();
        losses += usize::from(world.loss().is_some());
        if let Err(broken) = rules::hold_at_the_end_of(&world, &mut good) {
            panic!("{broken}\n{}", story(&trail, key));
        }
        for (step, next) in world.moves() {
            let next_key = next.key();
            let is_new = !trail.contains_key(&next_key);
            if is_new {
                trail.insert(next_key, (key, step));
            }
            if let Err(broken) = rules::hold_between(&world, &next) {
                panic!("{broken}, at the last of\n{}{step:?}", story(&trail, key));
            }
            if is_new {
                queue.push_back(next);
            }
        }
    }
    (trail.len(), losses)
}

/// How a state was reached.
fn story(trail: &Trail, mut key: u64) -> String {
    let mut steps = Vec::new();
    while let Some((before, step)) = trail.get(&key).filter(|(before, _)| *before != key) {
        steps.push(format!("{step:?}\n"));
        key = *before;
    }
    steps.into_iter().rev().collect()
}

/// Any two disturbances, or three at length.
fn budget() -> Budget {
    let is_long = std::env::var_os("TOKENKEEPER_LONG").is_some();
    let (in_all, ticks) = if is_long { (3, 3) } else { (2, 2) };
    Budget { crashes: 2, faults: 2, others: 2, in_all, ticks, is_punctual: false }
}

fn explored(rotation: Rotation, budget: Budget) -> usize {
    let (states, losses) = explore(World::new(rotation, budget));
    println!("{rotation:?}, {budget:?}: {states} states, {losses} of them after a loss");
    losses
}

#[test]
fn where_refresh_tokens_rotate_only_an_answer_that_was_lost_for_good_costs_a_session() {
    assert!(explored(Rotation::Strict, budget()) > 0, "it can");
}

#[test]
fn where_a_spent_refresh_token_is_forgiven_no_session_is_lost_by_a_daemon_that_comes_back_in_time() {
    assert_eq!(explored(Rotation::Forgiving, Budget { is_punctual: true, ..budget() }), 0);
}

#[test]
fn where_one_is_forgiven_and_time_goes_by_all_else_holds_too() {
    explored(Rotation::Forgiving, budget());
}

#[test]
fn where_refresh_tokens_stay_nothing_costs_a_session() {
    assert_eq!(explored(Rotation::None, budget()), 0);
    assert_eq!(explored(Rotation::KnownNone, budget()), 0);
}
