
mod cron;
mod due;

pub use cron::{Cron, CronError};
pub use due::run_due_timer;
