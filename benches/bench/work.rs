//! The processor time that processes use: unlike the time that passes, it does not depend on what else the machine does.

use std::fs;

use anyhow::Context;
use nix::unistd::{SysconfVar, sysconf};

/// What a process has used up to a moment.
pub(crate) struct Work {
    process: u32,
    ticks: u64,
}

impl Work {
    pub(crate) fn of(process: u32) -> anyhow::Result<Self> {
        Ok(Self { process, ticks: ticks(process)? })
    }

    /// Microseconds since then, for each of so many things that were done.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub(crate) fn microseconds_for(&self, count: u64) -> anyhow::Result<f64> {
        let in_a_second = sysconf(SysconfVar::CLK_TCK)?.context("the kernel does not say how long a tick is")?;
        let seconds = (ticks(self.process)? - self.ticks) as f64 / in_a_second as f64;
        Ok(seconds * 1e6 / count as f64)
    }
}

/// Processor time used so far: the fields `utime` and `stime` of proc(5).
pub(crate) fn ticks(process: u32) -> anyhow::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, behind_name) = stat.rsplit_once(')').context("the process is gone")?;
    behind_name.split_whitespace().skip(11).take(2).map(|field| Ok(field.parse::<u64>()?)).sum()
}
