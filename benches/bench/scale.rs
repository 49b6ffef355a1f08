//! What depends on how many sessions there are, and what should not: starting, resting, growing old, and the disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokenkeeperd::clock::Clock;
use tokenkeeperd::domain::{EndReason, Session, State};
use tokenkeeperd::keeper::{Keeper, Parts, Providers};
use tokenkeeperd::policy::{Rules, judge};
use tokenkeeperd::seal::Keyring;
use tokenkeeperd::vault::Cursor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::daemon::{Daemon, Home, Setup};
use crate::report::{Aim, Report};
use crate::stopwatch::{Stopwatch, now};
use crate::work::Work;
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
    let (per_second, work) = prune(OVER / divisor)?;
    report.add_aimed("prune_per_s", per_second, Aim::AtLeast(50_000.0), "sessions removed, on all cores");
    report.add("prune_cpu_us", work, "processor time for one of them, background work of the store included");
    report.add("verify_per_s", very_many.verify_per_second, "sessions checked, with all that leads to them; one core");
    sealing::measure(&mut report)?;
    print!("{report}");
    report.write(&Path::new(OUTPUT).join("summary.json"))
}

/// Measures how fast sessions that are over are removed, and nothing else.
pub(crate) fn measure_prune(divisor: u64) -> anyhow::Result<()> {
    std::fs::create_dir_all(OUTPUT).with_context(|| format!("cannot create {OUTPUT}"))?;
    let (per_second, work) = prune(OVER / divisor)?;
    println!("{per_second:.0} sessions removed in a second, {work:.1} us of processor time each");
    Ok(())
}

/// What a store of one size makes of a daemon.
struct Measured {
    start_ms: f64,
    rss_mib: f64,
    bytes_per_session: f64,
    verify_per_second: f64,
}

fn measure_size(sessions: u64) -> anyhow::Result<Measured> {
    let home = Home::new(Path::new(OUTPUT))?;
    let keyring = prepare::runtime()?.block_on(async {
        let (vault, keyring) = prepare::new_vault(&home).await?;
        prepare::fill(&vault, 0..sessions, |_, session| session).await?;
        anyhow::Ok(keyring)
    })?;
    // The first start puts in order what was just written.
    Daemon::start(&home, &Setup::default())?.wait_until_idle()?;
    let mut starts = Vec::new();
    for _ in 1..STARTS {
        let watch = Stopwatch::start();
        let daemon = Daemon::start(&home, &Setup::default())?;
        starts.push(watch.elapsed());
        drop(daemon);
    }
    let watch = Stopwatch::start();
    let daemon = Daemon::start(&home, &Setup::default())?;
    starts.push(watch.elapsed());
    daemon.wait_until_idle()?;
    starts.sort_unstable();
    let disk: u64 = std::fs::read_dir(home.state_dir().join("store"))?
        .map(|entry| Ok(entry?.metadata()?.len()))
        .sum::<std::io::Result<u64>>()?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let bytes_per_session = disk as f64 / sessions as f64;
    let rss_mib = daemon.rss_mib()?;
    drop(daemon);
    let verify_per_second = verify_per_second(&home, keyring, sessions)?;
    let start_ms = starts[STARTS / 2].as_secs_f64() * 1e3;
    Ok(Measured { start_ms, rss_mib, bytes_per_session, verify_per_second })
}

/// How many sessions `tokenkeeper store verify` checks in a second: their records, and their entries in every index.
fn verify_per_second(home: &Home, keyring: Keyring, sessions: u64) -> anyhow::Result<f64> {
    let vault = prepare::runtime()?.block_on(prepare::open_vault(home, keyring))?;
    let (watch, mut cursor) = (Stopwatch::start(), Some(Cursor::default()));
    while let Some(at) = cursor {
        let page = vault.verify(&at)?;
        anyhow::ensure!(page.findings.is_empty(), "the store is damaged: {:?}", page.findings);
        cursor = page.next;
    }
    Ok(per_second(sessions, watch.elapsed()))
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn per_second(count: u64, span: Duration) -> f64 {
    count as f64 / span.as_secs_f64()
}

/// How many sessions that have long been over are removed in a second, as the schedule does it; and microseconds of processor time
/// for each.
fn prune(sessions: u64) -> anyhow::Result<(f64, f64)> {
    let home = Home::new(Path::new(OUTPUT))?;
    prepare::runtime()?.block_on(async {
        let (vault, _) = prepare::new_vault(&home).await?;
        let long_ago = now() - Duration::from_hours(24 * 60);
        let over = State::Ended { reason: EndReason::TooOld, since: long_ago };
        let edit = move |_, session: Session| Session {
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
            work: tokio::runtime::Handle::current(),
            stop: CancellationToken::new(),
            cache_sessions: 16,
            retention: Duration::from_hours(24 * 7),
        }));
        let (watch, work) = (Stopwatch::start(), Work::of(std::process::id())?);
        let removed = keeper.prune(&CancellationToken::new()).await?;
        let (span, work) = (watch.elapsed(), work.microseconds_for(sessions)?);
        anyhow::ensure!(removed as u64 == sessions, "{removed} of {sessions} sessions were removed");
        Ok((per_second(sessions, span), work))
    })
}
