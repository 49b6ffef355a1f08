//! How long answers to refreshes are unsaved: between a provider's answer and the disk, the daemon alone knows the new tokens, and
//! where spent refresh tokens are not forgiven, a power cut in that moment ends the session.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper ends of the ranges that are counted, in microseconds.
const ENDS: [u64; 14] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000];

/// The spans so far, counted in ranges.
#[derive(Debug, Default)]
pub struct Window {
    /// Of each range the spans in it; the last one is beyond all ends.
    counts: [AtomicU64; ENDS.len() + 1],
    microseconds: AtomicU64,
}

/// What a [`Window`] has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spans {
    /// Ends of ranges, and the spans that were at most so long.
    pub up_to: Vec<(Duration, u64)>,
    /// All of them.
    pub count: u64,
    /// Together.
    pub sum: Duration,
}

impl Window {
    /// Counts a span.
    pub(super) fn note(&self, span: Duration) {
        let microseconds = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let range = ENDS.partition_point(|end| *end < microseconds);
        self.counts[range].fetch_add(1, Ordering::Relaxed);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// What was counted.
    pub fn read(&self) -> Spans {
        let mut count = 0;
        let mut up_to = Vec::with_capacity(ENDS.len());
        for (end, counted) in ENDS.iter().zip(&self.counts) {
            count += counted.load(Ordering::Relaxed);
            up_to.push((Duration::from_micros(*end), count));
        }
        count += self.counts[ENDS.len()].load(Ordering::Relaxed);
        Spans { up_to, count, sum: Duration::from_micros(self.microseconds.load(Ordering::Relaxed)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_counts_in_every_range_that_it_fits_into_and_one_beyond_all_in_the_sum_alone() {
        let window = Window::default();
        for microseconds in [250, 251, 5_000_001] {
            window.note(Duration::from_micros(microseconds));
        }
        let spans = window.read();
        let up_to = |end| spans.up_to.iter().find(|(at, _)| *at == Duration::from_micros(end)).map(|(_, count)| *count);
        assert_eq!([up_to(250), up_to(500), up_to(5_000_000)], [Some(1), Some(2), Some(2)]);
        assert_eq!((spans.count, spans.sum), (3, Duration::from_micros(5_000_502)));
    }
}
