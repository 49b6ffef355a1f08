//! Two servers, taking turns. Each turn of one is divided by the turn of the other just before it.

use crate::load::{Crowd, PingPong, Side};
use crate::stopwatch::microseconds;

/// Turns of each side.
const TURNS: usize = 30;
/// Exchanges in one turn on one connection: enough for a 99th percentile.
const EXCHANGES: usize = 5_000;
/// Connections at once when throughput is measured.
const CONNECTIONS: u32 = 32;
/// Exchanges in one turn on each of them.
const EXCHANGES_EACH: u32 = 500;

/// What `side` costs beside `base`: medians over all turns.
pub(crate) struct Comparison {
    pub(crate) p50_ratio: f64,
    pub(crate) p99_ratio: f64,
    pub(crate) throughput_ratio: f64,
    pub(crate) base_p50_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) base_per_second: f64,
    pub(crate) per_second: f64,
}

impl Comparison {
    pub(crate) fn of(base: &Side, side: &Side) -> anyhow::Result<Self> {
        let (base_latency, latency) = latencies(base, side)?;
        let (base_per_second, per_second) = throughputs(base, side)?;
        let p50 = |turns: &[Latency]| turns.iter().map(|turn| turn.p50_us).collect::<Vec<_>>();
        let p99 = |turns: &[Latency]| turns.iter().map(|turn| turn.p99_us).collect::<Vec<_>>();
        Ok(Self {
            p50_ratio: median_ratio(&p50(&latency), &p50(&base_latency)),
            p99_ratio: median_ratio(&p99(&latency), &p99(&base_latency)),
            throughput_ratio: median_ratio(&per_second, &base_per_second),
            base_p50_us: median(p50(&base_latency)),
            p50_us: median(p50(&latency)),
            base_per_second: median(base_per_second),
            per_second: median(per_second),
        })
    }
}

struct Latency {
    p50_us: f64,
    p99_us: f64,
}

fn latencies(base: &Side, side: &Side) -> anyhow::Result<(Vec<Latency>, Vec<Latency>)> {
    let (mut base, mut side) = (PingPong::connect(base)?, PingPong::connect(side)?);
    let turn = |of: &mut PingPong<'_>| {
        let spans = of.run(EXCHANGES)?;
        let at = |percent: usize| microseconds(spans[EXCHANGES * percent / 100]);
        anyhow::Ok(Latency { p50_us: at(50), p99_us: at(99) })
    };
    // One turn each that does not count: caches and branch predictors have seen everything once.
    turn(&mut base)?;
    turn(&mut side)?;
    take_turns(|| Ok((turn(&mut base)?, turn(&mut side)?)))
}

fn throughputs(base: &Side, side: &Side) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_io().build()?;
    let _within = runtime.enter();
    let (mut base, mut side) = (Crowd::connect(base, CONNECTIONS)?, Crowd::connect(side, CONNECTIONS)?);
    let turn = |of: &mut Crowd| runtime.block_on(of.run(EXCHANGES_EACH));
    turn(&mut base)?;
    turn(&mut side)?;
    take_turns(|| Ok((turn(&mut base)?, turn(&mut side)?)))
}

fn take_turns<T>(turn: impl FnMut() -> anyhow::Result<(T, T)>) -> anyhow::Result<(Vec<T>, Vec<T>)> {
    std::iter::repeat_with(turn).take(TURNS).collect()
}

fn median_ratio(values: &[f64], bases: &[f64]) -> f64 {
    median(values.iter().zip(bases).map(|(value, base)| value / base).collect())
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
