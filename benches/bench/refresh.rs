//! Refreshes as fast as they go, against bare posts to the same provider. They take turns: sessions are due in slots of time, and in
//! the rest of each slot the bare client posts as often as the daemon did.

use std::path::Path;
use std::time::Duration;

use anyhow::{bail, ensure};
use tokenkeeper_protocol::UnixSeconds;
use tokenkeeperd::domain::Session;

use crate::bare::{Bare, Connections};
use crate::compare::median;
use crate::daemon::{Daemon, Home, Setup};
use crate::exposition::Metrics;
use crate::report::{Aim, Report};
use crate::stopwatch::{Stopwatch, now, pause};
use crate::token_endpoint::{Scheme, TokenEndpoint};
use crate::work::Work;
use crate::{OUTPUT, prepare, steady};

/// Requests at once: the most that may be configured for a provider.
pub(crate) const AT_ONCE: usize = 256;
/// Slots; the first does not count.
const ROUNDS: u32 = 5;
/// Sessions that are due in each: 100,000 in all.
const TURN: u64 = 20_000;
/// Time to start a daemon on a store that was just written.
const PREPARATION: Duration = Duration::from_secs(10);
/// A turn that takes longer will not end.
const PATIENCE: Duration = Duration::from_mins(2);

/// A provider to measure against.
#[derive(Clone, Copy)]
struct Opponent {
    scheme: Scheme,
    /// What it takes for an answer.
    time: Duration,
    /// The length of a slot, in turns of the bare client. It has three of them, and the daemon as many as it is slower.
    slot: u32,
    /// What stands behind the names of figures.
    suffix: &'static str,
}

/// 256 at once that take so long each are 100,000 in a minute.
const FAR_AWAY: Opponent = Opponent { scheme: Scheme::Tls, time: Duration::from_millis(150), slot: 6, suffix: "" };
/// Nobody waits for anything but the processor.
const AT_ONCE_ANSWERING: Opponent = Opponent { time: Duration::ZERO, slot: 8, suffix: "_instant", ..FAR_AWAY };
const IN_THE_CLEAR: Opponent = Opponent { scheme: Scheme::Plain, suffix: "_plain", ..AT_ONCE_ANSWERING };

/// Measures all of it, with so many times fewer refreshes.
pub(crate) fn measure(divisor: u64) -> anyhow::Result<()> {
    for opponent in [FAR_AWAY, AT_ONCE_ANSWERING, IN_THE_CLEAR] {
        written(|report| measure_throughput(opponent, TURN / divisor, report))?;
    }
    measure_steady()
}

/// Measures what tokens cost meanwhile.
pub(crate) fn measure_steady() -> anyhow::Result<()> {
    written(steady::measure)
}

/// What was measured is told at once: what comes next may fail.
fn written(measure: impl FnOnce(&mut Report) -> anyhow::Result<()>) -> anyhow::Result<()> {
    std::fs::create_dir_all(OUTPUT)?;
    let mut report = Report::default();
    measure(&mut report)?;
    print!("{report}");
    report.write(&Path::new(OUTPUT).join("summary.json"))
}

/// What both sides did in one slot.
struct Round {
    refreshes_per_second: f64,
    posts_per_second: f64,
    /// The same once more: the noise.
    posts_again: f64,
    /// With connections that are kept.
    reusing: f64,
    /// Microseconds of processor time: of the daemon for a refresh, of the provider for an answer, of the bare client for a post.
    daemon_us: f64,
    provider_us: f64,
    bare_us: f64,
}

fn measure_throughput(opponent: Opponent, turn: u64, report: &mut Report) -> anyhow::Result<()> {
    let Opponent { scheme, time, suffix, .. } = opponent;
    let (endpoint, home) = (TokenEndpoint::start(scheme, time)?, Home::new(Path::new(OUTPUT))?);
    let bare = Bare::new(&endpoint)?;
    // Not counted, but for how fast this machine is just now: its code is read from disk.
    let watch = Stopwatch::start();
    bare.posts_per_second(turn, Connections::Closed)?;
    let slot = Duration::from_secs(2) + watch.elapsed() * opponent.slot;
    let sessions = u64::from(ROUNDS) * turn;
    let begin = fill(&home, &endpoint, sessions, move |number, begin| {
        begin + slot * u32::try_from(number / turn).unwrap_or(ROUNDS)
    })?;
    let daemon = Daemon::start(&home, &setup(&home, &endpoint, "10000/s")?)?;
    let before = Metrics::read(&home.socket())?;
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        wait_until(begin + slot * round)?;
        let (watch, at_daemon, at_endpoint) = (Stopwatch::start(), Work::of(daemon.id())?, Work::of(endpoint.id())?);
        wait_for_refreshes(&home, u64::from(round + 1) * turn)?;
        let refreshes_per_second = ratio(turn, 1) / watch.elapsed().as_secs_f64();
        let (daemon_us, provider_us) = (at_daemon.microseconds_for(turn)?, at_endpoint.microseconds_for(turn)?);
        let at_bare = Work::of(std::process::id())?;
        let posts_per_second = bare.posts_per_second(turn, Connections::Closed)?;
        let bare_us = at_bare.microseconds_for(turn)?;
        let reusing = bare.posts_per_second(turn, Connections::Kept)?;
        let posts_again = bare.posts_per_second(turn, Connections::Closed)?;
        println!(
            "{scheme:?}, {time:?} each, in a second: {refreshes_per_second:.0} refreshes, {posts_per_second:.0} and {posts_again:.0} posts, \
             {reusing:.0} on kept connections"
        );
        let figures =
            Round { refreshes_per_second, posts_per_second, posts_again, reusing, daemon_us, provider_us, bare_us };
        rounds.push(figures);
    }
    let after = Metrics::read(&home.socket())?;
    drop(daemon);
    report_rounds(&rounds[1..], suffix, report);
    let syncs = after.sum("tokenkeeper_store_syncs_total ")? - before.sum("tokenkeeper_store_syncs_total ")?;
    report.add(format!("syncs_per_refresh{suffix}"), ratio(syncs, sessions), "those of the audit trail included");
    for (name, share) in [("refresh_unsaved_p50_ms", 0.5), ("refresh_unsaved_p99_ms", 0.99)] {
        let span = after.quantile_ms(&before, "tokenkeeper_refresh_unsaved_seconds", share)?;
        report.add(format!("{name}{suffix}"), span, "from a provider's answer until it is on disk");
    }
    Ok(())
}

fn report_rounds(rounds: &[Round], suffix: &str, report: &mut Report) {
    let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    let name = |name| format!("{name}{suffix}");
    report.add(name("refreshes_per_s"), of(|it| it.refreshes_per_second), "sessions that are due, 256 at once");
    report.add(name("bare_posts_per_s"), of(|it| it.posts_per_second), "a bare client, 256 at once");
    let (throughput, noise) =
        (of(|it| it.refreshes_per_second / it.posts_per_second), of(|it| it.posts_again / it.posts_per_second));
    let aim = suffix.is_empty().then_some(Aim::AtLeast(0.8));
    let note = "both make a connection for each";
    report.add_noisy(name("refresh_throughput_ratio"), throughput, noise, aim, note);
    let reusing = of(|it| it.refreshes_per_second / it.reusing);
    report.add(name("refresh_throughput_ratio_kept"), reusing, "the bare client keeps its connections");
    report.add(name("refresh_cpu_us"), of(|it| it.daemon_us), "processor time of the daemon for a refresh");
    report.add(name("bare_post_cpu_us"), of(|it| it.bare_us), "of the bare client for a post");
    report.add(name("provider_cpu_us"), of(|it| it.provider_us), "of the provider for an answer");
}

/// Writes sessions that are due when `due_at` says, which is told when there will be a daemon. Returns that time.
pub(crate) fn fill(
    home: &Home,
    endpoint: &TokenEndpoint,
    sessions: u64,
    due_at: impl Fn(u64, UnixSeconds) -> UnixSeconds + Clone + Send + 'static,
) -> anyhow::Result<UnixSeconds> {
    let issuer = endpoint.issuer.clone();
    let of_provider = move |_, mut session: Session| {
        session.user.issuer.clone_from(&issuer);
        session
    };
    let edit = {
        let of_provider = of_provider.clone();
        move |begin| {
            move |number, session| Session { due_at: Some(due_at(number, begin)), ..of_provider(number, session) }
        }
    };
    prepare::runtime()?.block_on(async {
        let (vault, _) = prepare::new_vault(home).await?;
        // How fast does this machine write just now? These are not due.
        let (watch, tenth) = (Stopwatch::start(), sessions / 10);
        prepare::fill(&vault, sessions..sessions + tenth, of_provider).await?;
        let begin = now() + watch.elapsed() * 20 + PREPARATION;
        prepare::fill(&vault, 0..sessions, edit(begin)).await?;
        Ok(begin)
    })
}

/// A provider whose limits are never reached, but for `rate`.
pub(crate) fn setup(home: &Home, endpoint: &TokenEndpoint, rate: &str) -> anyhow::Result<Setup> {
    let authority = match &endpoint.authority {
        Some(pem) => format!("ca_file = '{}'\n", home.place("authority.pem", pem)?.display()),
        None => String::new(),
    };
    let issuer = &endpoint.issuer;
    let provider =
        format!("issuer = \"{issuer}\"\n{authority}refresh = \"always\"\nconcurrency = {AT_ONCE}\nrate = \"{rate}\"\n");
    Ok(Setup { provider, ..Setup::default() })
}

pub(crate) fn wait_until(moment: UnixSeconds) -> anyhow::Result<()> {
    ensure!(now() < moment, "a slot was too short for what had to be done in it: is the machine busy?");
    while now() < moment {
        pause(Duration::from_millis(1));
    }
    Ok(())
}

/// Waits until so many refreshes are on disk.
pub(crate) fn wait_for_refreshes(home: &Home, count: u64) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    while watch.elapsed() < PATIENCE {
        let metrics = Metrics::read(&home.socket())?;
        let [done, all] =
            ["tokenkeeper_refreshes_total{provider=\"bench\",outcome=\"done\"", "tokenkeeper_refreshes_total"]
                .map(|name| metrics.sum(name));
        let (done, all) = (done?, all?);
        ensure!(done == all, "{} refreshes failed", all - done);
        if done >= count {
            ensure!(done == count, "what is due next was refreshed before this was done: is the machine busy?");
            return Ok(());
        }
        // Rarely enough to cost the daemon nothing.
        pause(Duration::from_millis(100));
    }
    bail!("not all sessions that were due are refreshed")
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn ratio(count: u64, of: u64) -> f64 {
    count as f64 / of as f64
}
