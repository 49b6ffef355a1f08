//! The jobs of `[schedule]`. A cron job only rings; the work is done by a task that skips rings while it is busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::Local;
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::ScheduleSettings;
use crate::keeper::Keeper;

/// Why the jobs could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the schedule cannot be set up: {0}")]
pub struct CronError(#[from] JobSchedulerError);

/// The running jobs.
pub struct Cron {
    scheduler: JobScheduler,
    work: CancellationToken,
}

impl Cron {
    /// Starts the jobs.
    pub async fn start(
        settings: &ScheduleSettings,
        keeper: &Arc<Keeper>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Self, CronError> {
        let scheduler = JobScheduler::new().await?;
        let work = stop.child_token();
        let (sweep, prune) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
        scheduler.add(ring(&settings.sweep, &sweep)?).await?;
        scheduler.add(ring(&settings.prune, &prune)?).await?;
        tasks.spawn(answer(sweep, Arc::clone(keeper), Chore::Sweep, work.clone()));
        tasks.spawn(answer(prune, Arc::clone(keeper), Chore::Prune, work.clone()));
        scheduler.start().await?;
        Ok(Self { scheduler, work })
    }

    /// Stops the jobs. Work that was begun is finished.
    pub async fn stop(mut self) {
        self.work.cancel();
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::debug!(%error, "the schedule did not shut down in good order");
        }
    }
}

#[derive(Clone, Copy)]
enum Chore {
    Sweep,
    Prune,
}

/// Rings are heard when nobody is busy with the last one.
#[derive(Default)]
struct Bell {
    rung: Notify,
    busy: AtomicBool,
}

fn ring(line: &str, bell: &Arc<Bell>) -> Result<Job, JobSchedulerError> {
    let bell = Arc::clone(bell);
    Job::new_cron_job_async_tz(line, Local, move |_, _| {
        let bell = Arc::clone(&bell);
        Box::pin(async move {
            if !bell.busy.swap(true, Ordering::AcqRel) {
                bell.rung.notify_one();
            }
        })
    })
}

async fn answer(bell: Arc<Bell>, keeper: Arc<Keeper>, chore: Chore, stop: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = bell.rung.notified() => {}
        }
        let (name, done) = match chore {
            Chore::Sweep => tokio::select! {
                biased;
                () = stop.cancelled() => return,
                done = keeper.sweep() => ("sweep", done),
            },
            Chore::Prune => ("prune", keeper.prune(&stop).await),
        };
        match done {
            Ok(0) => {}
            Ok(sessions) => tracing::info!(sessions, "{name} done"),
            Err(error) => tracing::error!(%error, "{name} failed; the next run tries again"),
        }
        bell.busy.store(false, Ordering::Release);
    }
}
