//! What goes wrong in one life, as chance has it.

use std::time::Duration;

use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng, SeedableRng as _};

use super::host::Pace;
use crate::support::failpoints::Point;
use crate::support::{Fault, Rotation};

/// One life.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What is ordered at failpoints.
    pub(crate) orders: Vec<String>,
    /// The provider kills its client: before it does what it is asked for, or behind that.
    pub(crate) killed_there: Option<Moment>,
    pub(crate) work: Work,
    /// What goes wrong with the next refreshes.
    pub(crate) faults: Vec<Fault>,
    /// For so many milliseconds, connections are refused.
    pub(crate) shut: Option<u64>,
    /// When it is over, at the latest.
    pub(crate) span: Duration,
    pace: Pace,
    /// Where the load leaves it to chance.
    pub(crate) seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

/// What is done most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Tokens,
    Logouts,
    /// Sessions that are over are removed once a second.
    Removals,
    Rotation,
}

/// What leads to a point, how often it is passed in a short life, and how long it may take to come there.
const WAYS: [(&str, Work, u64, u64); 12] = [
    ("refresh.", Work::Tokens, 8, 800),
    ("store.reopen", Work::Tokens, 1, 3_000),
    ("store.before-reopening", Work::Tokens, 1, 3_000),
    ("store.", Work::Tokens, 60, 800),
    ("outbox.", Work::Tokens, 40, 800),
    ("anchor.", Work::Tokens, 2, 1_500),
    ("login.", Work::Logouts, 4, 800),
    ("logout.", Work::Logouts, 4, 800),
    ("revoke.", Work::Logouts, 4, 800),
    ("prune.", Work::Removals, 1, 3_000),
    ("reseal.", Work::Rotation, 5, 1_500),
    ("rotation.", Work::Rotation, 1, 1_500),
];

impl Plan {
    pub(crate) fn draw(points: &[Point], rotation: Rotation, pace: Pace, random: &mut StdRng) -> Self {
        let mut this = Self {
            orders: vec![],
            killed_there: None,
            work: Work::Tokens,
            faults: (0..random.random_range(0..4)).map(|_| fault(rotation, random)).collect(),
            shut: random.random_bool(0.05).then(|| random.random_range(20..120)),
            span: Duration::from_millis(random.random_range(5..400)),
            pace,
            seed: random.random(),
        };
        match random.random_range(0..100) {
            0..45 => this.kill_at(points, random, |name| name.starts_with("refresh.") || name.starts_with("store.")),
            45..60 => {
                this.killed_there = Some(if random.random() { Moment::Before } else { Moment::After });
                this.span = Duration::from_millis(800);
            }
            // Nobody is erased here.
            60..80 => this.kill_at(points, random, |name| {
                !["refresh.", "store.", "erase."].iter().any(|kind| name.starts_with(kind))
            }),
            80..93 => {
                // As often early as late, however many passes there are.
                let pass = 400_f64.powf(random.random());
                this.orders.push(format!("kill@*:{pass:.0}"));
                this.span = Duration::from_millis(800);
            }
            // At any moment: not all of them have a name.
            _ => {}
        }
        if random.random_bool(0.25) {
            this.fail_at(points, random);
        }
        this
    }

    /// The same life, with nothing going wrong.
    pub(crate) fn without_trouble(self) -> Self {
        let span = Duration::from_secs(3);
        Self { orders: vec![], killed_there: None, faults: vec![], shut: None, span, ..self }
    }

    fn kill_at(&mut self, points: &[Point], random: &mut StdRng, which: impl Fn(&str) -> bool) {
        let possible: Vec<_> = points.iter().filter(|point| which(&point.name)).collect();
        let point = possible.choose(random).expect("there are points of every kind");
        let pass = self.go_to(&point.name, random);
        if point.name.starts_with("store.") && point.name.contains("reopen") {
            self.orders.push(format!("fail@store.before-write:{}", random.random_range(5..30)));
        }
        self.orders.push(format!("kill@{}:{pass}", point.name));
    }

    fn fail_at(&mut self, points: &[Point], random: &mut StdRng) {
        let possible: Vec<_> = points.iter().filter(|point| point.fails).collect();
        let point = possible.choose(random).expect("some points can fail");
        let pass = self.go_to(&point.name, random);
        self.orders.push(format!("fail@{}:{pass}", point.name));
        // Until it is back.
        self.span = self.span.max(Duration::from_millis(1_500));
    }

    /// Does what leads there; which pass it shall be.
    fn go_to(&mut self, name: &str, random: &mut StdRng) -> u64 {
        let way = WAYS.into_iter().find(|(start, ..)| name.starts_with(start));
        // Every start passes the others.
        let (_, work, passes, span) = way.unwrap_or(("", Work::Tokens, 1, 800));
        self.work = work;
        self.span = self.span.max(Duration::from_millis(span));
        let passes = if self.pace == Pace::OneByOne { passes.div_ceil(4) } else { passes };
        random.random_range(1..=passes)
    }

    /// What the provider does to its client of this life.
    pub(crate) fn faults_of(&self, client: Pid) -> Vec<Fault> {
        let kill = self.killed_there.map(|moment| match moment {
            Moment::Before => Fault::KillBefore(client),
            Moment::After => Fault::KillAfter(client),
        });
        self.faults.iter().cloned().chain(kill).collect()
    }

    /// Whether the store is to fail.
    pub(crate) fn fails_store(&self) -> bool {
        self.orders.iter().any(|order| order.starts_with("fail@store."))
    }

    pub(crate) fn random(&self, lane: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed ^ lane)
    }
}

fn fault(rotation: Rotation, random: &mut StdRng) -> Fault {
    // Where nothing is forgiven, an answer that is lost is the end of a session.
    let kinds = if rotation == Rotation::Strict && random.random_bool(0.8) { 7 } else { 9 };
    match random.random_range(0..kinds) {
        0 => Fault::DropBefore,
        1 => Fault::CutShort,
        2 => Fault::Answer(500, "<h1>oops</h1>".to_owned()),
        3 => Fault::Answer(502, String::new()),
        4 => Fault::RetryAfter(503, 1),
        5 => Fault::Drip(0),
        6 => Fault::Late(random.random_range(1..60)),
        7 => Fault::DropAfter,
        _ => Fault::CutAfter,
    }
}
