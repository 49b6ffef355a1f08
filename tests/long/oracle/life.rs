//! One life of a daemon under load.

use std::io;
use std::os::unix::process::ExitStatusExt as _;

use nix::sys::signal::{Signal, kill};
use rand::Rng as _;
use rand::rngs::StdRng;
use tokenkeeper_protocol::reply::TokenReply;
use tokenkeeper_protocol::request::{Selector, TokenRequest};
use tokenkeeper_protocol::{Code, Reply, Request, SessionRef};

use super::host::{Host, NEARLY_NEW, Slot};
use super::plan::{Plan, Work};
use crate::kills::pause;
use crate::support::Daemon;
use crate::support::browser::Browser;
use crate::support::wire::{self, CALLBACK, Wire};

/// Callers at the same time. Each has sessions of its own: what is handed out comes in order.
const LANES: usize = 3;

/// How a life ended.
#[derive(Debug)]
pub(crate) enum Death {
    /// By its own hand, or the provider's: see the passes.
    Killed,
    /// By ours, at the moment that was drawn.
    InTime,
    /// It gave up, for it was made to fail before it was ready.
    GaveUp,
    /// As it should.
    Stopped,
}

impl Host {
    pub(crate) fn live(&self, plan: &Plan) -> Death {
        let mut daemon = Daemon::launch(&self.home, self.home.failpoint_command(&plan.orders));
        for fault in plan.faults_of(daemon.pid()) {
            self.provider.fault("refresh_token", fault);
        }
        let is_ready = daemon.becomes_ready();
        let mut is_over = false;
        if is_ready {
            std::thread::scope(|scope| {
                for lane in 0..LANES {
                    scope.spawn(move || self.load(lane, plan));
                }
                if let Some(milliseconds) = plan.shut {
                    scope.spawn(move || {
                        let _nobody_is_on_the_way = self.door.write().unwrap();
                        self.provider.go_down();
                        pause(milliseconds);
                        self.provider.come_back();
                    });
                }
                is_over = daemon.outlives(plan.span);
                if is_over {
                    // Unless it has just come to its end by itself.
                    let _ = kill(daemon.pid(), Signal::SIGKILL);
                }
                daemon.wait_for_exit();
            });
        }
        let status = daemon.wait_for_exit();
        self.provider.forget_faults();
        match status.signal() {
            Some(9) if is_over => Death::InTime,
            Some(9) => Death::Killed,
            _ => {
                let was_made_to = plan.orders.iter().any(|order| order.starts_with("fail@")) && !is_ready;
                if !was_made_to {
                    self.wrong("", format!("the daemon ended by itself: {status}"));
                }
                Death::GaveUp
            }
        }
    }

    /// Asks until the daemon is gone.
    fn load(&self, lane: usize, plan: &Plan) {
        let mut random = plan.random(lane as u64);
        let Ok(mut wire) = Wire::try_connect(&self.home.socket()) else { return };
        let own = self.slots.len() / LANES;
        loop {
            let slot = lane + LANES * random.random_range(0..own);
            if self.ask_something(&mut wire, slot, plan.work, &mut random).is_err() {
                return;
            }
        }
    }

    fn ask_something(&self, wire: &mut Wire, slot: usize, work: Work, random: &mut StdRng) -> io::Result<()> {
        let mut slot = self.slots[slot].lock().unwrap();
        let (logouts, rotations) = match work {
            Work::Tokens => (0.01, 0.002),
            Work::Logouts => (0.4, 0.002),
            Work::Removals => (0.1, 0.002),
            Work::Rotation => (0.01, 0.1),
        };
        if slot.is_none() {
            *slot = self.log_in(wire)?;
        } else if random.random_bool(logouts) {
            // Gone from here on, whether that is heard or not.
            if let Some(Slot { session, user, .. }) = slot.take() {
                self.log_out(wire, session, &user)?;
            }
        } else if random.random_bool(rotations) {
            self.rotate(wire)?;
        } else if random.random_bool(0.02) {
            self.ask_for_buried(wire, random)?;
        } else {
            let min_valid = random.random_bool(0.7).then_some(NEARLY_NEW);
            self.ask_for_token(wire, &mut slot, min_valid)?;
        }
        Ok(())
    }

    pub(crate) fn ask_for_token(
        &self,
        wire: &mut Wire,
        slot: &mut Option<Slot>,
        min_valid: Option<u32>,
    ) -> io::Result<Option<u32>> {
        let Some(it) = slot else { return Ok(None) };
        match wire.try_ask(&token_of(it.session, min_valid))? {
            Reply::Token(token) => self.judge_token(it, &token),
            Reply::Problem(problem) if problem.code == Code::TryLater => {
                return Ok(Some(problem.retry_after_ms.unwrap_or(100)));
            }
            Reply::Problem(problem) if problem.code == Code::LoginRequired => {
                let it = slot.take().expect("it was there");
                self.ledger.lock().unwrap().newly_lost.push((it.user, it.session));
            }
            // The next second began before the new token was handed out.
            Reply::Problem(problem) if problem.code == Code::LifetimeTooShort && min_valid.is_some() => {}
            other => self.wrong(&it.user, format!("a token was asked for: {other:?}")),
        }
        Ok(None)
    }

    /// A token is one of the provider's, and never older than one that was handed out before.
    fn judge_token(&self, slot: &mut Slot, token: &TokenReply) {
        let place = self.provider.handed_out(token.access_token.expose()).unwrap_or(0);
        if place < slot.place || place == 0 {
            self.wrong(&slot.user, format!("token {place} came after {}", slot.place));
        }
        slot.place = place;
    }

    pub(crate) fn log_in(&self, wire: &mut Wire) -> io::Result<Option<Slot>> {
        let user = self.ledger.lock().unwrap().next_user();
        let begun = match wire.try_ask(&wire::begin("corp"))? {
            Reply::LoginBegun(begun) => begun,
            Reply::Problem(problem) if problem.code == Code::TryLater => return Ok(None),
            other => {
                self.wrong(&user, format!("a login was begun: {other:?}"));
                return Ok(None);
            }
        };
        let back = {
            let _open = self.door.read().unwrap();
            Browser::default().log_in_until(begun.authorize_url.expose(), &user, CALLBACK)
        };
        match wire.try_ask(&wire::complete(begun.login_id, &back))? {
            Reply::LoggedIn(it) => {
                self.ledger.lock().unwrap().opened.insert(user.clone(), it.session);
                Ok(Some(Slot { session: it.session, user, place: 0 }))
            }
            // The provider was gone in its middle.
            Reply::Problem(problem) if matches!(problem.code, Code::TryLater | Code::LoginFailed) => Ok(None),
            other => {
                self.wrong(&user, format!("a login was completed: {other:?}"));
                Ok(None)
            }
        }
    }

    fn log_out(&self, wire: &mut Wire, session: SessionRef, user: &str) -> io::Result<()> {
        match wire.try_ask(&Request::Logout(session))? {
            Reply::LoggedOut(_) => self.ledger.lock().unwrap().buried.push(session),
            Reply::Problem(problem) if problem.code == Code::TryLater => {}
            other => self.wrong(user, format!("it was logged out: {other:?}")),
        }
        Ok(())
    }

    /// Who was told that a session is over is not served from it.
    fn ask_for_buried(&self, wire: &mut Wire, random: &mut StdRng) -> io::Result<()> {
        let buried = {
            let ledger = self.ledger.lock().unwrap();
            if ledger.buried.is_empty() {
                return Ok(());
            }
            ledger.buried[random.random_range(0..ledger.buried.len())]
        };
        if let Reply::Token(_) = wire.try_ask(&token_of(buried, None))? {
            self.wrong("", format!("{buried} was logged out, and is served"));
        }
        Ok(())
    }

    fn rotate(&self, wire: &mut Wire) -> io::Result<()> {
        let reply = wire.try_ask(&Request::KeysRotate)?;
        let mut ledger = self.ledger.lock().unwrap();
        match reply {
            Reply::KeysRotating(epoch) if epoch > ledger.epoch => ledger.epoch = epoch,
            Reply::KeysRotating(epoch) => {
                let before = ledger.epoch;
                ledger.wrong.push((String::new(), format!("epoch {epoch} begins after {before}")));
            }
            // One is under way, or the file could not be written.
            Reply::Problem(_) => {}
            other => ledger.wrong.push((String::new(), format!("a rotation was asked for: {other:?}"))),
        }
        Ok(())
    }

    pub(crate) fn wrong(&self, user: &str, what: String) {
        self.ledger.lock().unwrap().wrong.push((user.to_owned(), what));
    }
}

pub(crate) fn token_of(session: SessionRef, min_valid_seconds: Option<u32>) -> Request {
    Request::Token(TokenRequest { selector: Selector::Session(session), min_valid_seconds, timeout_ms: None })
}
