//! When things are done, never how: the due timer, and the cron jobs behind it.

mod cron;
mod due;

pub use cron::{Cron, CronError};
pub use due::run_due_timer;
