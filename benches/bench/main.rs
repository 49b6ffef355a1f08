//! Measures what a token costs, against a bare echo of the same sizes. Prints a table, writes `target/bench/summary.json`.
//!
//! Server and load generator are separate processes; the two servers that are compared take turns in slices of one run, and
//! what counts is the median of the ratios, because only that survives a busy machine. The echo is also compared with itself: how far
//! that ratio is from 1 is how far the others can be trusted. With `noise` as its argument the program does only that.

mod command_line;
mod compare;
mod daemon;
mod echo;
mod load;
mod prepare;
mod report;
mod sealing;
mod stopwatch;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use tokenkeeper_protocol::SessionRef;

use crate::compare::Comparison;
use crate::daemon::{Daemon, Home};
use crate::echo::Echo;
use crate::load::Side;
use crate::report::Report;

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
        [echo::ARGUMENT, socket, request, reply] => echo::serve(Path::new(socket), request, reply),
        other => Err(anyhow::anyhow!("unknown arguments {other:?}: give none, or `noise`")),
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
    measure_noise(&mut report)?;
    measure_hot(&home, &sessions, &mut report)?;
    measure_cold(&home, &sessions, &mut report)?;
    sealing::measure(&mut report)?;
    print!("{report}");
    report.write(&Path::new(OUTPUT).join("summary.json"))
}

fn noise_only() -> anyhow::Result<()> {
    let mut report = Report::default();
    measure_noise(&mut report)?;
    print!("{report}");
    Ok(())
}

/// The echo against another echo.
fn measure_noise(report: &mut Report) -> anyhow::Result<()> {
    let (request, reply_length) = prepare::sample_exchange()?;
    let (one, other) = (Echo::start(request.clone(), reply_length)?, Echo::start(request, reply_length)?);
    let noise = Comparison::of(&one.side, &other.side)?;
    report.add("noise_p50_ratio", noise.p50_ratio, "echo against itself");
    report.add("noise_p99_ratio", noise.p99_ratio, "");
    report.add("noise_throughput_ratio", noise.throughput_ratio, "");
    Ok(())
}

/// A token that is in memory, among very many sessions that are not.
fn measure_hot(home: &Home, sessions: &[SessionRef], report: &mut Report) -> anyhow::Result<()> {
    let daemon = Daemon::start(home, None)?;
    report.add_aimed("idle_rss_mib", daemon.rss_mib()?, report::Aim::AtMost(25.0), "ready, nothing asked yet");

    let hot = *sessions.first().context("the store holds no session")?;
    let tokens = Side::daemon(&home.socket(), hot)?;
    let echo = Echo::start(tokens.request.clone(), tokens.reply_length)?;
    let hot_tokens = Comparison::of(&echo.side, &tokens)?;
    report.add("echo_p50_us", hot_tokens.base_p50_us, "bare tokio echo of the same sizes");
    report.add("token_hot_p50_us", hot_tokens.p50_us, "one connection");
    report.add_aimed("token_hot_p50_ratio", hot_tokens.p50_ratio, report::Aim::AtMost(1.5), "to the echo");
    report.add("token_hot_p99_ratio", hot_tokens.p99_ratio, "to the echo");
    report.add("echo_per_second", hot_tokens.base_per_second, "32 connections");
    report.add("token_hot_per_second", hot_tokens.per_second, "32 connections");
    let aim = report::Aim::AtLeast(0.7);
    report.add_aimed("token_hot_throughput_ratio", hot_tokens.throughput_ratio, aim, "to the echo");

    command_line::measure(&home.socket(), hot, report)?;
    report.add("busy_rss_mib", daemon.rss_mib()?, "after all of that");
    Ok(())
}

/// Tokens that must be read from disk and opened.
fn measure_cold(home: &Home, sessions: &[SessionRef], report: &mut Report) -> anyhow::Result<()> {
    let _daemon = Daemon::start(home, Some(COLD_CACHE))?;
    report.add("token_cold_p50_us", load::cold_p50_us(&home.socket(), sessions)?, "one read, one open");
    Ok(())
}
