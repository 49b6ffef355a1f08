//! What sealing and opening one session's record costs, without a store.

use std::hint::black_box;
use std::time::Duration;

use tokenkeeperd::seal::{Keyring, Place};

use crate::report::Report;
use crate::stopwatch::{Stopwatch, microseconds};

/// Length of a record: a session with its three tokens.
const RECORD: usize = 2_560;
/// Where it stands; of a session, the reference is its key.
const PLACE: Place<'_> = Place { area: "sessions", key: b"7k3vq2mx", version: 1 };
/// Turns that count, and before them a tenth as many that do not.
const TURNS: usize = 10_000;

pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    let (keyring, record) = (Keyring::generate(), [0x5a; RECORD]);
    let seal = || keyring.seal(&PLACE, black_box(&record));
    let sealed = seal()?;
    report.add("seal_us", median_us(seal)?, "one record of 2.5 KiB, with a key and a salt of its own");
    report.add("open_us", median_us(|| keyring.open(&PLACE, black_box(&sealed)))?, "the same");
    Ok(())
}

fn median_us<T, E>(mut work: impl FnMut() -> Result<T, E>) -> Result<f64, E> {
    for _ in 0..TURNS / 10 {
        work()?;
    }
    let mut turn = || {
        let watch = Stopwatch::start();
        let done = black_box(work()?);
        let span = watch.elapsed();
        drop(done);
        Ok(span)
    };
    let mut spans: Vec<Duration> = std::iter::repeat_with(&mut turn).take(TURNS).collect::<Result<_, E>>()?;
    spans.sort_unstable();
    Ok(microseconds(spans[TURNS / 2]))
}
