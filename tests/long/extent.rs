//! How far a proof goes, and the chance it is left to.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// `long` with `TOKENKEEPER_LONG=1`, else `short`.
pub(crate) fn times(short: usize, long: usize) -> usize {
    let is_long = std::env::var("TOKENKEEPER_LONG").is_ok_and(|value| value == "1");
    if is_long { long } else { short }
}

/// The source of chance of one proof. Its seed is printed.
pub(crate) fn random() -> StdRng {
    let given = std::env::var("TOKENKEEPER_SEED").ok();
    let seed = given.map_or_else(rand::random, |text| text.parse().expect("TOKENKEEPER_SEED is a number"));
    println!("repeat with TOKENKEEPER_SEED={seed}");
    StdRng::seed_from_u64(seed)
}
