//! What a token costs while very many sessions are refreshed, against the same with nothing else to do.
//!
//! An echo is asked in turns with the daemon. What becomes of its times is what the machine does to anybody, on which the provider
//! and the daemon are at work.

use std::path::Path;
use std::time::Duration;

use crate::OUTPUT;
use crate::daemon::{Daemon, Home};
use crate::echo::Echo;
use crate::load::{PingPong, Side};
use crate::prepare::reference;
use crate::refresh::{fill, setup, wait_for_refreshes, wait_until};
use crate::report::{Aim, Report};
use crate::stopwatch::{Stopwatch, microseconds};
use crate::token_endpoint::{Scheme, TokenEndpoint};

/// Refreshes in a second: 100,000 in a minute.
const RATE: u32 = 1_667;
/// Rounds, each a while with refreshes and as long without.
const ROUNDS: u32 = 4;
/// What is due in a round lasts for so long.
const BUSY: Duration = Duration::from_secs(6);
/// So long after its beginning tokens are asked for, until so long before its end; and again when all is quiet.
const LEAD: Duration = Duration::from_secs(1);
const ASKED: Duration = Duration::from_secs(4);
const SLOT: Duration = Duration::from_secs(20);
/// Exchanges in one turn.
const EXCHANGES: usize = 500;

pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    let (endpoint, home) = (TokenEndpoint::start(Scheme::Tls, Duration::ZERO)?, Home::new(Path::new(OUTPUT))?);
    let due = u64::from(RATE) * BUSY.as_secs();
    let due_at = move |number, begin| match u32::try_from(number / due) {
        Ok(round) if round < ROUNDS => begin + SLOT * round,
        _ => begin + Duration::from_hours(10),
    };
    // The last one is the one whose token is asked for.
    let sessions = u64::from(ROUNDS) * due + 1;
    let begin = fill(&home, &endpoint, sessions, due_at)?;
    let daemon = Daemon::start(&home, &setup(&home, &endpoint, &format!("{RATE}/s"))?)?;
    let server = Side::daemon(daemon.id(), &home.socket(), reference(sessions - 1))?;
    let echo = Echo::start(server.request.clone(), server.reply_length)?;
    let mut sides = [PingPong::connect(&server)?, PingPong::connect(&echo.side)?];
    let (mut busy, mut idle) = (Times::default(), Times::default());
    busy.take(&mut sides, 1)?;
    busy = Times::default();
    for round in 0..ROUNDS {
        wait_until(begin + SLOT * round + LEAD)?;
        busy.take_for(&mut sides, ASKED)?;
        wait_for_refreshes(&home, u64::from(round + 1) * due)?;
        daemon.wait_until_idle()?;
        idle.take_for(&mut sides, ASKED)?;
    }
    let [(busy_token, busy_echo), (idle_token, idle_echo)] = [busy, idle].map(Times::p99);
    report.add("token_p99_idle_us", idle_token, "a hot token, nothing else to do");
    report.add("token_p99_under_refresh_us", busy_token, "the same while 1,667 sessions are refreshed in a second");
    report.add("echo_p99_under_refresh_ratio", busy_echo / idle_echo, "what the machine does to a bare echo meanwhile");
    let note = "the daemon's own; compare with the echo's";
    report.add_aimed("token_p99_under_refresh_ratio", busy_token / idle_token, Aim::AtMost(2.0), note);
    Ok(())
}

/// How long exchanges took, of the daemon and of the echo.
#[derive(Default)]
struct Times([Vec<Duration>; 2]);

impl Times {
    fn take_for(&mut self, sides: &mut [PingPong<'_>; 2], span: Duration) -> anyhow::Result<()> {
        let watch = Stopwatch::start();
        while watch.elapsed() < span {
            self.take(sides, EXCHANGES)?;
        }
        Ok(())
    }

    fn take(&mut self, sides: &mut [PingPong<'_>; 2], exchanges: usize) -> anyhow::Result<()> {
        for (side, times) in sides.iter_mut().zip(&mut self.0) {
            times.extend(side.run(exchanges)?);
        }
        Ok(())
    }

    /// The 99th percentiles.
    fn p99(self) -> (f64, f64) {
        let [token, echo] = self.0.map(|mut times| {
            times.sort_unstable();
            times.get(times.len() * 99 / 100).copied().map_or(f64::NAN, microseconds)
        });
        (token, echo)
    }
}
