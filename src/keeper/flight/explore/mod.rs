//! Every order in which a flight and others can meet, tried out: the real decisions, on a model of store, provider and network.
//!
//! [`world`] is what there is, [`moves`] what can happen next, [`budget`] how much of that need not, [`oracle`] the provider,
//! [`rules`] what must hold in each state and at the end of each. The search is exhaustive: all states that can be reached within
//! the budget. One that was reached before with as much left to happen, or more, has nothing new behind it; [`print`] tells which
//! states are the same.

mod budget;
mod flying;
mod moves;
mod oracle;
mod print;
mod rules;
mod world;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use self::budget::{Budget, Kind};
use self::moves::Move;
use self::oracle::Rotation;
use self::world::World;

/// What was found.
#[derive(Default)]
struct Found {
    /// How each state was reached: from which other, and by which step.
    trail: Vec<(usize, Move)>,
    /// With how much left to happen.
    reached: HashMap<u64, Vec<Budget>>,
    /// States in which the session is lost.
    losses: usize,
}

impl Found {
    /// Whether a state is new, or has more left to happen than ever before.
    fn is_news(&mut self, world: &World) -> bool {
        let before = self.reached.entry(world.key()).or_default();
        let is_news = !before.iter().any(|left| left.covers(&world.left));
        if is_news {
            before.push(world.left);
        }
        is_news
    }

    fn add(&mut self, from: usize, step: Move) -> usize {
        self.trail.push((from, step));
        self.trail.len() - 1
    }

    /// How a state was reached.
    fn story(&self, mut number: usize) -> String {
        let mut steps = Vec::new();
        while number > 0 {
            let (from, step) = self.trail[number];
            steps.push(format!("{step:?}\n"));
            number = from;
        }
        steps.into_iter().rev().collect()
    }
}

/// Visits every state, those first to which least has happened.
fn explore(start: World) -> Found {
    let (mut found, mut good) = (Found::default(), HashSet::new());
    found.is_news(&start);
    let first = found.add(0, Move::Start);
    let mut queues = BTreeMap::from([(start.left.size(), VecDeque::from([(first, start)]))]);
    while let Some(mut queue) = queues.last_entry() {
        let Some((number, world)) = queue.get_mut().pop_front() else {
            queue.remove();
            continue;
        };
        found.losses += usize::from(world.loss().is_some());
        if let Err(broken) = rules::hold_at_the_end_of(&world, &mut good) {
            panic!("{broken}\n{}", found.story(number));
        }
        for (step, next) in world.moves() {
            if let Err(broken) = rules::hold_between(&world, &next) {
                panic!("{broken}, at the last of\n{}{step:?}", found.story(number));
            }
            if found.is_news(&next) {
                let number = found.add(number, step);
                queues.entry(next.left.size()).or_default().push_back((number, next));
            }
        }
    }
    found
}

/// Returns how many states lost the session.
fn explored(rotation: Rotation, budgets: &[Budget]) -> usize {
    let each = budgets.iter().map(|budget| {
        let found = explore(World::new(rotation, *budget));
        println!("{rotation:?}, {budget}: {} states, {} of them after a loss", found.trail.len(), found.losses);
        found.losses
    });
    each.sum()
}

/// Any few disturbances, of whatever kind; and each intruder in one course with a crash or a fault, at length with two of both.
fn budgets() -> [Budget; 2] {
    use Kind::{Caller, Crash, Fault, Logout, Prune, Reload};
    let once = [Logout, Prune, Reload, Caller, Crash, Fault, Crash, Fault];
    if std::env::var_os("TOKENKEEPER_LONG").is_some() {
        [Budget::any(3, 3), Budget::of(&once, 2)]
    } else {
        [Budget::any(2, 2), Budget::of(&once[..6], 1).at_most(5)]
    }
}

#[test]
fn where_refresh_tokens_rotate_only_an_answer_that_was_lost_for_good_costs_a_session() {
    assert!(explored(Rotation::Strict, &budgets()) > 0, "it can");
}

#[test]
fn where_a_spent_refresh_token_is_forgiven_no_session_is_lost_by_a_daemon_that_comes_back_in_time() {
    assert_eq!(explored(Rotation::Forgiving, &budgets().map(Budget::punctual)), 0);
}

#[test]
fn where_one_is_forgiven_and_time_goes_by_all_else_holds_too() {
    explored(Rotation::Forgiving, &budgets());
}

#[test]
fn where_refresh_tokens_stay_nothing_costs_a_session() {
    assert_eq!(explored(Rotation::None, &budgets()), 0);
    assert_eq!(explored(Rotation::KnownNone, &budgets()), 0);
}
