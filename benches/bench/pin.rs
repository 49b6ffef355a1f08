//! Holds processes on one core.
//!
//! Left alone, the kernel moves client and server between sharing a core and having one each, where every message wakes the other. An
//! exchange with the echo took 11 to 12 us on one core and 26 to 30 us on two when it was held there. Which it is changes from turn to
//! turn, and made an echo seem up to four times as slow as its twin, on a quiet machine more than on a busy one.

use std::fs;

use anyhow::Context;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Processes on one core, until dropped.
pub(crate) struct Pinned {
    processes: Vec<u32>,
    before: CpuSet,
}

impl Pinned {
    /// Pins all threads of `processes` and of this program to the last core that this program may use.
    pub(crate) fn with(processes: &[u32]) -> anyhow::Result<Self> {
        let before = sched_getaffinity(Pid::from_raw(0))?;
        let allowed = |core: &usize| before.is_set(*core).unwrap_or(false);
        let core = (0..CpuSet::count()).rev().find(allowed).context("this program may use no core")?;
        let mut one = CpuSet::new();
        one.set(core)?;
        let processes = [processes, &[std::process::id()]].concat();
        let this = Self { processes, before };
        this.place(&one)?;
        Ok(this)
    }

    fn place(&self, cores: &CpuSet) -> anyhow::Result<()> {
        for process in &self.processes {
            for thread in fs::read_dir(format!("/proc/{process}/task"))? {
                let thread: i32 = thread?.file_name().to_string_lossy().parse()?;
                // A thread that has ended since needs no place.
                if let Err(error) = sched_setaffinity(Pid::from_raw(thread), cores)
                    && error != nix::Error::ESRCH
                {
                    return Err(error).context("cannot choose the core");
                }
            }
        }
        Ok(())
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // A process that is gone needs no place; there is nobody to tell of anything else.
        let _ = self.place(&self.before);
    }
}
