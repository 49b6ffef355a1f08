//! The jobs of `[schedule]`. A cron job only rings; the work is done by a task that skips rings while it is busy.
//!
//! The library keeps the time of the next ring as a point in wall time, so all jobs are added anew when the wall clock jumps:
//! otherwise a jump back would silence them for as long, and one forward would ring for a time that never was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::Local;
use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::ScheduleSettings;
use crate::keeper::Keeper;
use crate::vault::Rotation;
use crate::vital::Vital;

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
        rotation: &Arc<Rotation>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Self, CronError> {
        let scheduler = JobScheduler::new().await?;
        let work = stop.child_token();
        let (sweep, prune) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
        let scrub = Arc::new(Bell::default());
        let mut bells = vec![
            (settings.sweep.clone(), Arc::clone(&sweep)),
            (settings.prune.clone(), Arc::clone(&prune)),
            (settings.scrub.clone(), Arc::clone(&scrub)),
        ];
        if let Some(line) = &settings.rotate_keys {
            let rotate = Arc::new(Bell::default());
            bells.push((line.clone(), Arc::clone(&rotate)));
            tasks.spawn(answer(rotate, Arc::clone(keeper), Chore::RotateKeys(Arc::clone(rotation)), work.clone()));
        }
        let mut jobs = Jobs { scheduler: scheduler.clone(), bells, added: Vec::new() };
        jobs.add().await?;
        tasks.spawn(answer(sweep, Arc::clone(keeper), Chore::Sweep, work.clone()));
        tasks.spawn(answer(prune, Arc::clone(keeper), Chore::Prune, work.clone()));
        tasks.spawn(answer(scrub, Arc::clone(keeper), Chore::Scrub, work.clone()));
        tasks.spawn(heed_jumps(jobs, keeper.clock().clone(), work.clone()));
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

/// What rings when.
struct Jobs {
    scheduler: JobScheduler,
    bells: Vec<(String, Arc<Bell>)>,
    added: Vec<Job>,
}

impl Jobs {
    async fn add(&mut self) -> Result<(), JobSchedulerError> {
        for (line, bell) in &self.bells {
            let job = ring(line, bell)?;
            self.scheduler.add(job.clone()).await?;
            self.added.push(job);
        }
        Ok(())
    }

    async fn add_anew(&mut self) -> Result<(), JobSchedulerError> {
        for job in std::mem::take(&mut self.added) {
            self.scheduler.remove(&job.guid()).await?;
        }
        self.add().await
    }
}

async fn heed_jumps(mut jobs: Jobs, clock: Clock, stop: CancellationToken) {
    let _vital = Vital("the schedule");
    let mut turns = clock.turns();
    while let Some(Ok(())) = stop.run_until_cancelled(turns.changed()).await {
        if let Err(error) = jobs.add_anew().await {
            tracing::error!(%error, "the jobs of [schedule] may not run any more; restart the daemon");
        }
    }
}

enum Chore {
    Sweep,
    Prune,
    Scrub,
    RotateKeys(Arc<Rotation>),
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

/// Begins a new epoch. What is sealed in the old one follows in the background.
async fn rotate(rotation: &Arc<Rotation>) {
    let rotation = Arc::clone(rotation);
    match tokio::task::spawn_blocking(move || rotation.begin_as("schedule")).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::error!(%error, "the keys are not rotated as scheduled"),
        Err(error) => tracing::error!(%error, "the keys are not rotated as scheduled"),
    }
}

async fn answer(bell: Arc<Bell>, keeper: Arc<Keeper>, chore: Chore, stop: CancellationToken) {
    let _vital = Vital("the schedule");
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = bell.rung.notified() => {}
        }
        let (name, done) = match &chore {
            Chore::Sweep => tokio::select! {
                biased;
                () = stop.cancelled() => return,
                done = keeper.sweep() => ("sweep", done),
            },
            Chore::Prune => ("prune", keeper.prune(&stop).await),
            // What it found is told already, one by one.
            Chore::Scrub => ("check of the store", keeper.scrub(&stop).await.map(|_| 0)),
            Chore::RotateKeys(rotation) => {
                rotate(rotation).await;
                ("rotation", Ok(0))
            }
        };
        match done {
            Ok(0) => {}
            Ok(sessions) => tracing::info!(sessions, "{name} done"),
            Err(error) => tracing::error!(%error, "{name} failed; the next run tries again"),
        }
        bell.busy.store(false, Ordering::Release);
    }
}
