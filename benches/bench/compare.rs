//! A server beside the echo, and the echo beside its twin, all three taking turns.
//!
//! Each turn is divided by the turn of the echo in the same round. The twin does exactly what the echo does, so its ratio is
//! 1 but for what the machine adds; it is measured in the same rounds because what disturbs comes and goes.

use crate::load::{Crowd, PingPong, Side, one_shots};
use crate::pin::Pinned;
use crate::stopwatch::microseconds;

/// Rounds of latency, in which each side makes one turn.
const ROUNDS: usize = 100;
/// Exchanges in one turn on one connection: enough for a 99th percentile.
const EXCHANGES: usize = 1_000;
/// Rounds of throughput.
const CROWD_ROUNDS: usize = 30;
/// Connections made in one turn, one after the other, each for one exchange.
const ONE_SHOTS: usize = 200;
/// Connections at once when throughput is measured.
const CONNECTIONS: u32 = 32;
/// Exchanges in one turn on each of them.
const EXCHANGES_EACH: u32 = 300;

/// Who is compared.
pub(crate) struct Contest<'a> {
    pub(crate) echo: &'a Side,
    /// Another echo.
    pub(crate) twin: &'a Side,
    /// The server in question.
    pub(crate) server: &'a Side,
}

/// Where the processes run while latency is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// All on one core: what an exchange costs in work, and the stricter ratio, since no waking of cores is added to both sides.
    OneCore,
    /// Wherever the kernel puts them.
    Free,
}

/// Medians over all rounds.
pub(crate) struct Outcome {
    pub(crate) echo: f64,
    pub(crate) server: f64,
    /// Server to echo.
    pub(crate) ratio: f64,
    /// Twin to echo.
    pub(crate) noise: f64,
}

impl Contest<'_> {
    /// Microseconds of one exchange on one connection: the median and the 99th percentile.
    pub(crate) fn latency(&self, placement: Placement) -> anyhow::Result<(Outcome, Outcome)> {
        let processes = self.sides().map(|side| side.process);
        let _pinned = (placement == Placement::OneCore).then(|| Pinned::with(&processes)).transpose()?;
        let [echo, twin, server] = self.sides().map(PingPong::connect);
        let mut connections = [echo?, twin?, server?];
        let rounds = rounds(ROUNDS, |position| {
            let spans = connections[position].run(EXCHANGES)?;
            let at = |percent: usize| microseconds(spans[EXCHANGES * percent / 100]);
            Ok((at(50), at(99)))
        })?;
        let p50: Vec<_> = rounds.iter().map(|round| round.map(|(p50, _)| p50)).collect();
        let p99: Vec<_> = rounds.iter().map(|round| round.map(|(_, p99)| p99)).collect();
        Ok((Outcome::of(&p50), Outcome::of(&p99)))
    }

    /// Microseconds of one exchange with a connection of its own, from connecting to closing: the median, on one core.
    pub(crate) fn one_shot(&self) -> anyhow::Result<Outcome> {
        let sides = self.sides();
        let _pinned = Pinned::with(&sides.map(|side| side.process))?;
        let rounds =
            rounds(ROUNDS, |position| Ok(microseconds(one_shots(sides[position], ONE_SHOTS)?[ONE_SHOTS / 2])))?;
        Ok(Outcome::of(&rounds))
    }

    /// Exchanges per second on many connections.
    pub(crate) fn throughput(&self) -> anyhow::Result<Outcome> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_io().build()?;
        let _within = runtime.enter();
        let [echo, twin, server] = self.sides().map(|side| Crowd::connect(side, CONNECTIONS));
        let mut crowds = [echo?, twin?, server?];
        let rounds = rounds(CROWD_ROUNDS, |position| runtime.block_on(crowds[position].run(EXCHANGES_EACH)))?;
        Ok(Outcome::of(&rounds))
    }

    fn sides(&self) -> [&Side; 3] {
        [self.echo, self.twin, self.server]
    }
}

impl Outcome {
    /// Of rounds of echo, twin and server.
    fn of(rounds: &[[f64; 3]]) -> Self {
        let median_of = |figure: fn(&[f64; 3]) -> f64| median(rounds.iter().map(figure).collect());
        Self {
            echo: median_of(|[echo, _, _]| *echo),
            server: median_of(|[_, _, server]| *server),
            ratio: median_of(|[echo, _, server]| server / echo),
            noise: median_of(|[echo, twin, _]| twin / echo),
        }
    }
}

/// Lets all three make a turn in each round; another one begins each time. The first round does not count: caches and branch
/// predictors have not seen anything yet.
fn rounds<T: Copy + Default>(
    count: usize,
    mut turn: impl FnMut(usize) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<[T; 3]>> {
    let mut rounds = Vec::with_capacity(count + 1);
    for first in 0..=count {
        let mut round = [T::default(); 3];
        for position in (first..first + 3).map(|turn| turn % 3) {
            round[position] = turn(position)?;
        }
        rounds.push(round);
    }
    Ok(rounds.split_off(1))
}

/// The middle one; of an even number the mean of the two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}
