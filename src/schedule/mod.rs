//! When things are done, never how: the due timer, and the cron jobs behind it.

mod cron;
mod due;
mod watch;

pub use cron::{Cron, CronError};
pub use due::run_due_timer;
pub use watch::run_clock_watch;
