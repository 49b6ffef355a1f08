//! Measures what a token costs, against a bare echo of the same sizes. Prints a table, writes `target/bench/summary.json`.
//!
//! Server and load generator are separate processes. The servers that are compared take turns in one run, and what counts is the
//! median of the ratios. An echo is also compared with its twin in the same rounds: how far that is from 1 is how far the rest
//! can be trusted. With `noise` as its argument the program does only that,
//! and with `scale` it measures what depends on how many sessions there are.

mod bare;
mod command_line;
mod compare;
mod daemon;
mod echo;
mod exposition;
mod http;
mod http_echo;
mod load;
mod pin;
mod prepare;
mod refresh;
mod report;
mod scale;
mod sealing;
mod steady;
mod stopwatch;
mod token_endpoint;
mod work;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use tokenkeeper_protocol::SessionRef;

use crate::compare::{Contest, Placement};
use crate::daemon::{Daemon, Home, Setup};
use crate::echo::Echo;
use crate::load::Side;
use crate::pin::Pinned;
use crate::report::{Aim, Report};

/// Where the summary goes, and where the store lies while it is measured: on a disk, as `/tmp` often is not.
const OUTPUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench");

/// Sessions whose tokens stay in memory when tokens out of memory are measured: next to none.
const COLD_CACHE: u64 = 16;

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let outcome = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => everything(),
        ["noise"] => noise_only(),
        ["scale"] => scale::measure(1),
        // For trying the program itself: the figures mean nothing.
        ["scale", divisor] => divisor.parse().context("not a number").and_then(scale::measure),
        ["refresh"] => refresh::measure(1),
        ["refresh", divisor] => divisor.parse().context("not a number").and_then(refresh::measure),
        ["steady"] => refresh::measure_steady(),
        ["prune"] => scale::measure_prune(1),
        [echo::ARGUMENT, socket, greeting, request, reply] => echo::serve(Path::new(socket), greeting, request, reply),
        [token_endpoint::ARGUMENT, scheme, milliseconds] => token_endpoint::serve(scheme, milliseconds),
        [http_echo::ARGUMENT, socket, body] => http_echo::serve(Path::new(socket), body),
        other => Err(anyhow::anyhow!(
            "unknown arguments {other:?}: give none, `noise`, `scale`, `refresh`, `steady` or `prune`"
        )),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn everything() -> anyhow::Result<()> {
    std::fs::create_dir_all(OUTPUT).with_context(|| format!("cannot create {OUTPUT}"))?;
    let home = Home::new(Path::new(OUTPUT))?;
    let sessions = prepare::prepare_store(&home).context("cannot prepare the store")?;
    let mut report = Report::default();
    settle(&home, &mut report)?;
    measure_hot(&home, &sessions, &mut report)?;
    measure_cold(&home, &sessions, &mut report)?;
    sealing::measure(&mut report)?;
    print!("{report}");
    report.write(&Path::new(OUTPUT).join("summary.json"))
}

/// A third echo in the place of the daemon: every ratio should be 1.
fn noise_only() -> anyhow::Result<()> {
    let (request, reply_length) = prepare::sample_exchange()?;
    let start = || Echo::start(request.clone(), reply_length);
    let (echo, twin, third) = (start()?, start()?, start()?);
    println!("an echo stands in for the daemon: every ratio should be 1, and no aim means anything");
    let mut report = Report::default();
    contest(&Contest { echo: &echo.side, twin: &twin.side, server: &third.side }, &mut report)?;
    print!("{report}");
    Ok(())
}

/// Lets a daemon put in order what was just written, as it would have done while it was written over months.
fn settle(home: &Home, report: &mut Report) -> anyhow::Result<()> {
    let daemon = Daemon::start(home, &Setup::default())?;
    daemon.wait_until_idle()?;
    report.add("filled_rss_mib", daemon.rss_mib()?, "after the start that compacts what was just written");
    Ok(())
}

/// A token that is in memory, among very many sessions that are not.
fn measure_hot(home: &Home, sessions: &[SessionRef], report: &mut Report) -> anyhow::Result<()> {
    let daemon = Daemon::start(home, &Setup::default())?;
    daemon.wait_until_idle()?;
    report.add_aimed("idle_rss_mib", daemon.rss_mib()?, Aim::AtMost(25.0), "100,000 sessions, nothing asked yet");
    let hot = *sessions.first().context("the store holds no session")?;
    let server = Side::daemon(daemon.id(), &home.socket(), hot)?;
    let start = || Echo::start(server.request.clone(), server.reply_length);
    let (echo, twin) = (start()?, start()?);
    contest(&Contest { echo: &echo.side, twin: &twin.side, server: &server }, report)?;
    measure_one_shot(&server, report)?;
    http::measure(daemon.id(), &home.http_socket(), hot, report)?;
    command_line::measure(&home.socket(), hot, report)?;
    report.add("busy_rss_mib", daemon.rss_mib()?, "after all of that");
    Ok(())
}

/// Everything that a program does that wants one token: connect, greet, ask, hang up.
fn measure_one_shot(server: &Side, report: &mut Report) -> anyhow::Result<()> {
    let start = || Echo::start_greeted(server.request.clone(), server.reply_length);
    let (echo, twin) = (start()?, start()?);
    let p50 = Contest { echo: &echo.side, twin: &twin.side, server }.one_shot()?;
    report.add("echo_oneshot_p50_us", p50.echo, "connect, hello, ask, close; one core");
    report.add("token_oneshot_p50_us", p50.server, "the same");
    report.add_ratio("token_oneshot_ratio", &p50, Some(Aim::AtMost(1.5)), "one core");
    Ok(())
}

fn contest(contest: &Contest<'_>, report: &mut Report) -> anyhow::Result<()> {
    let (p50, p99) = contest.latency(Placement::OneCore)?;
    report.add("echo_p50_us", p50.echo, "bare tokio echo, one connection, one core");
    report.add("token_hot_p50_us", p50.server, "the same");
    report.add_ratio("token_hot_p50_ratio", &p50, Some(Aim::AtMost(1.5)), "one core");
    report.add_ratio("token_hot_p99_ratio", &p99, None, "one core");
    let (p50, p99) = contest.latency(Placement::Free)?;
    report.add_ratio("token_hot_p50_ratio_free", &p50, None, "wherever the kernel puts them");
    report.add_ratio("token_hot_p99_ratio_free", &p99, None, "the same");
    let throughput = contest.throughput()?;
    report.add("echo_per_second", throughput.echo, "32 connections");
    report.add("token_hot_per_second", throughput.server, "the same");
    report.add_ratio("token_hot_throughput_ratio", &throughput, Some(Aim::AtLeast(0.7)), "32 connections");
    Ok(())
}

/// Tokens that must be read from disk and opened.
fn measure_cold(home: &Home, sessions: &[SessionRef], report: &mut Report) -> anyhow::Result<()> {
    let daemon = Daemon::start(home, &Setup { cache_sessions: Some(COLD_CACHE), ..Setup::default() })?;
    daemon.wait_until_idle()?;
    let _pinned = Pinned::with(&[daemon.id()])?;
    report.add("token_cold_p50_us", load::cold_p50_us(&home.socket(), sessions)?, "one read, one open, one core");
    Ok(())
}
