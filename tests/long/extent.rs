//! How far a proof goes, and the chance it is left to.

use std::ops::Range;
use std::str::FromStr;

use rand::SeedableRng;
use rand::rngs::StdRng;

/// Rounds between two words about how far a course has come.
const WORD_EVERY: usize = 50;

/// `long` with `TOKENKEEPER_LONG=1`, else `short`.
pub(crate) fn times(short: usize, long: usize) -> usize {
    let is_long = std::env::var("TOKENKEEPER_LONG").is_ok_and(|value| value == "1");
    if is_long { long } else { short }
}

/// The source of chance of one proof. Its seed is printed.
pub(crate) fn random() -> StdRng {
    let seed = seed();
    println!("repeat with TOKENKEEPER_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// The rounds of a proof that takes minutes. Each has a chance of its own, so that a course that was broken off, or failed, goes on
/// from the round that it had come to.
pub(crate) struct Course {
    seed: u64,
    rounds: Range<usize>,
}

/// A course of as many rounds as [`times`] says.
pub(crate) fn course(short: usize, long: usize) -> Course {
    let (seed, from) = (seed(), given("TOKENKEEPER_FROM").unwrap_or(0));
    let rounds = from..times(short, long);
    println!("repeat with TOKENKEEPER_SEED={seed}; TOKENKEEPER_FROM=N goes on from round N of {}", rounds.end);
    Course { seed, rounds }
}

impl Course {
    /// Rounds that are left.
    pub(crate) fn len(&self) -> usize {
        self.rounds.len()
    }
}

impl Iterator for Course {
    /// The number of the round, and its chance.
    type Item = (usize, StdRng);

    fn next(&mut self) -> Option<Self::Item> {
        let round = self.rounds.next()?;
        if round > 0 && round % WORD_EVERY == 0 {
            println!("round {round} of {}", self.rounds.end);
        }
        Some((round, StdRng::seed_from_u64(self.seed.wrapping_add(round as u64))))
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("failed with TOKENKEEPER_SEED={} TOKENKEEPER_FROM={}", self.seed, self.rounds.start - 1);
        }
    }
}

fn seed() -> u64 {
    given("TOKENKEEPER_SEED").unwrap_or_else(rand::random)
}

fn given<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}
