//! What is printed in the end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::support::failpoints::{Came, Pass};

#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) lives: usize,
    /// Lives that ended at a failpoint, or at the hand of the provider.
    pub(crate) kills: usize,
    /// Kills, wherever, with a refresh inside the window.
    pub(crate) kills_inside: usize,
    /// Refreshes inside the window, at all kills together, and at most at one.
    pub(crate) inside: usize,
    pub(crate) most_inside: usize,
    pub(crate) lost_by_kill: usize,
    pub(crate) lost_by_answer: usize,
    pub(crate) faults: usize,
    failures: usize,
    pub(crate) refreshes: usize,
    /// Nanoseconds between an answer of the provider and its being kept.
    pub(crate) windows: Vec<u64>,
    /// Syncs and refreshes of a time in which nothing went wrong.
    pub(crate) calm: (u32, u32),
    /// Where lives ended, and how often.
    ends: BTreeMap<String, usize>,
}

impl Figures {
    pub(crate) fn died_at(&mut self, point: &str) {
        self.kills += 1;
        *self.ends.entry(point.to_owned()).or_default() += 1;
    }

    /// Failpoints that failed, all in all.
    pub(crate) fn failed(&mut self, passes: &[Pass]) -> usize {
        self.failures += passes.iter().filter(|pass| pass.came == Came::Failed).count();
        self.failures
    }

    pub(crate) fn and(mut self, other: Self) -> Self {
        self.lives += other.lives;
        self.kills += other.kills;
        self.kills_inside += other.kills_inside;
        self.most_inside = self.most_inside.max(other.most_inside);
        self.inside += other.inside;
        self.lost_by_kill += other.lost_by_kill;
        self.lost_by_answer += other.lost_by_answer;
        self.faults += other.faults;
        self.failures += other.failures;
        self.refreshes += other.refreshes;
        self.windows.extend(other.windows);
        self.calm = (self.calm.0 + other.calm.0, self.calm.1 + other.calm.1);
        for (point, times) in other.ends {
            *self.ends.entry(point).or_default() += times;
        }
        self
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lives, kills, kills_inside, faults, failures, refreshes, .. } = self;
        writeln!(
            f,
            "{lives} lives, {kills} kills at failpoints, {faults} faults ({failures} of the store), {refreshes} refreshes"
        )?;
        let (inside, most, by_kill, by_answer) =
            (self.inside, self.most_inside, self.lost_by_kill, self.lost_by_answer);
        writeln!(
            f,
            "  {kills_inside} kills with {inside} refreshes inside the window, at most {most} at one; \
             lost: {by_kill} by those, {by_answer} by answers that were lost"
        )?;
        let mut windows = self.windows.clone();
        windows.sort_unstable();
        let percentile = |share: usize| {
            let index = (windows.len() * share / 100).min(windows.len().saturating_sub(1));
            Duration::from_nanos(windows.get(index).copied().unwrap_or(0)).as_secs_f64() * 1e3
        };
        let (median, most) = (percentile(50), percentile(99));
        writeln!(f, "  window_p50_ms: {median:.1}, window_p99_ms: {most:.1} ({} answers)", windows.len())?;
        let (syncs, calm) = self.calm;
        let ratio = f64::from(syncs) / f64::from(calm.max(1));
        writeln!(f, "  syncs_per_refresh: {ratio:.2} ({syncs} syncs, {calm} refreshes)")?;
        let ends: Vec<_> = self.ends.iter().map(|(point, times)| format!("{point} {times}")).collect();
        write!(f, "  ended at: {}", ends.join(", "))
    }
}
