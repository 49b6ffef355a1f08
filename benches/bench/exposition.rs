//! What a daemon counts and measures, as it tells it itself.

use std::path::Path;

use anyhow::{Context, bail};
use tokenkeeper_protocol::{Reply, Request};

use crate::load::ask;

/// Its metrics at one moment.
pub(crate) struct Metrics(String);

impl Metrics {
    pub(crate) fn read(socket: &Path) -> anyhow::Result<Self> {
        match ask(socket, &Request::Metrics)? {
            Reply::Metrics(text) => Ok(Self(text)),
            other => bail!("the daemon answered {other:?}"),
        }
    }

    /// The sum of all samples whose line begins so.
    pub(crate) fn sum(&self, start: &str) -> anyhow::Result<u64> {
        let samples = self.0.lines().filter(|line| line.starts_with(start));
        samples.map(|line| Ok(line.rsplit(' ').next().context("a sample without a value")?.parse::<u64>()?)).sum()
    }

    /// Milliseconds within which `share` of what a histogram has counted since `before` were, as near as its ranges tell.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub(crate) fn quantile_ms(&self, before: &Self, name: &str, share: f64) -> anyhow::Result<f64> {
        let ranges = self.ranges(name)?.into_iter().zip(before.ranges(name)?);
        let ranges: Vec<_> = ranges.map(|((end, now), (_, then))| (end, (now - then) as f64)).collect();
        let wanted = ranges.last().context("no such histogram")?.1 * share;
        let (mut low, mut below) = (0.0, 0.0);
        for (end, count) in ranges {
            if count >= wanted {
                let part = if count > below { (wanted - below) / (count - below) } else { 1.0 };
                return Ok(if end.is_finite() { (low + (end - low) * part) * 1e3 } else { low * 1e3 });
            }
            (low, below) = (end, count);
        }
        bail!("the last range of {name} does not hold everything")
    }

    fn ranges(&self, name: &str) -> anyhow::Result<Vec<(f64, u64)>> {
        let start = format!("{name}_bucket{{le=\"");
        let samples = self.0.lines().filter_map(|line| line.strip_prefix(&start)?.split_once("\"} "));
        samples.map(|(end, count)| Ok((end.parse()?, count.parse()?))).collect()
    }
}
