//! What depends on how many sessions there are, and what should not: starting, resting, growing old, and the disk.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tokenkeeperd::clock::Clock;
use tokenkeeperd::domain::{EndReason, Session, State};
use tokenkeeperd::keeper::{Keeper, Parts, Providers};
use tokenkeeperd::policy::{Rules, judge};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::daemon::{Daemon, Home};
use crate::report::{Aim, Report};
use crate::stopwatch::{Stopwatch, now};
use crate::{OUTPUT, prepare, sealing};

/// Few, many, very many.
const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];
/// Sessions that are over, and removed.
const OVER: u64 = 100_000;
/// Starts whose median counts.
const STARTS: usize = 5;

/// Measures stores of so many sessions, divided by `divisor`.
pub(crate) fn measure(divisor: u64) -> anyhow::Result<()> {
    std::fs::create_dir_all(OUTPUT).with_context(|| format!("cannot create {OUTPUT}"))?;
    let mut report = Report::default();
    let [few, many, very_many] = SIZES.map(|size| measure_size(size / divisor));
    let (few, many, very_many) = (few?, many?, very_many?);
    report.add("start_ready_ms_10k", few.start_ms, "from the start of the process until it says that it is ready");
    report.add("start_ready_ms_100k", many.start_ms, "the same");
    report.add("start_ready_ms_1m", very_many.start_ms, "the same");
    let ratio = very_many.start_ms / few.start_ms;
    report.add_aimed("start_ready_ratio_1m_10k", ratio, Aim::AtMost(1.5), "a million sessions beside ten thousand");
    report.add("rss_10k_mib", few.rss_mib, "at rest");
    report.add_aimed("rss_1m_mib", very_many.rss_mib, Aim::AtMost(128.0), "at rest");
    report.add("bytes_per_session", very_many.bytes_per_session, "of disk, for a record of 2.5 KiB and its indexes");
    report.add_aimed("prune_per_s", prune_per_second(OVER / divisor)?, Aim::AtLeast(50_000.0), "sessions removed");
    sealing::measure(&mut report)?;
    print!("{report}");
    report.write(&Path::new(OUTPUT).join("summary.json"))
}

/// What a store of one size makes of a daemon.
struct Measured {
    start_ms: f64,
    rss_mib: f64,
    bytes_per_session: f64,
}

fn measure_size(sessions: u64) -> anyhow::Result<Measured> {
    let home = Home::new(Path::new(OUTPUT))?;
    runtime()?.block_on(async {
        let vault = prepare::new_vault(&home).await?;
        prepare::fill(&vault, 0..sessions, |session| session).await
    })?;
    // The first start puts in order what was just written.
    Daemon::start(&home, None)?.wait_until_idle()?;
    let mut starts = Vec::new();
    for _ in 1..STARTS {
        let watch = Stopwatch::start();
        let daemon = Daemon::start(&home, None)?;
        starts.push(watch.elapsed());
        drop(daemon);
    }
    let watch = Stopwatch::start();
    let daemon = Daemon::start(&home, None)?;
    starts.push(watch.elapsed());
    daemon.wait_until_idle()?;
    starts.sort_unstable();
    let disk: u64 = std::fs::read_dir(home.state_dir().join("store"))?
        .map(|entry| Ok(entry?.metadata()?.len()))
        .sum::<std::io::Result<u64>>()?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let bytes_per_session = disk as f64 / sessions as f64;
    Ok(Measured { start_ms: starts[STARTS / 2].as_secs_f64() * 1e3, rss_mib: daemon.rss_mib()?, bytes_per_session })
}

/// How many sessions that have long been over are removed in a second, as the schedule does it.
fn prune_per_second(sessions: u64) -> anyhow::Result<f64> {
    let home = Home::new(Path::new(OUTPUT))?;
    runtime()?.block_on(async {
        let vault = Arc::new(prepare::new_vault(&home).await?);
        let long_ago = now() - std::time::Duration::from_hours(24 * 60);
        let over = State::Ended { reason: EndReason::TooOld, since: long_ago };
        let edit = |session: Session| Session {
            state: over.clone(),
            tokens: None,
            due_at: None,
            prune_at: long_ago,
            ..session
        };
        prepare::fill(&vault, 0..sessions, edit).await?;
        let keeper = Arc::new(Keeper::new(Parts {
            vault,
            providers: Providers::new(),
            clock: Clock::system(),
            judge: Box::new(|peer, action, target| judge(&Rules::default(), peer, action, target)),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            cache_sessions: 16,
            retention: std::time::Duration::from_hours(24 * 7),
        }));
        let watch = Stopwatch::start();
        let removed = keeper.prune(&CancellationToken::new()).await?;
        let span = watch.elapsed();
        anyhow::ensure!(removed as u64 == sessions, "{removed} of {sessions} sessions were removed");
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let rate = removed as f64 / span.as_secs_f64();
        Ok(rate)
    })
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
