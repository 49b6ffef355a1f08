//! When nothing goes wrong any more: every session is served or was lost for a reason, and everybody can see it.

use std::time::Duration;

use tokenkeeper_protocol::reply::SessionState;
use tokenkeeper_protocol::request::HistoryRequest;
use tokenkeeper_protocol::{Reply, Request, SessionRef};

use super::figures::Figures;
use super::host::{Host, NEARLY_NEW};
use super::life::Death;
use crate::extent;
use crate::kills::pause;
use crate::support::deadline::Deadline;
use crate::support::wire::Wire;
use crate::support::{Daemon, What};

/// How long it may take until everybody is served again: backoffs grow with the tries that failed.
const PATIENCE: Duration = Duration::from_mins(2);
/// Callers at the same time, while syncs are counted.
const CALLERS: usize = 8;

impl Host {
    /// The last life.
    pub(crate) fn rest(&self, figures: &mut Figures) -> Death {
        let daemon = Daemon::start_command(&self.home, self.home.failpoint_command(&[]));
        self.serve_all();
        self.account(figures, &Death::Stopped, true);
        self.count_syncs(figures);
        self.account(figures, &Death::Stopped, true);
        self.look_at_records();
        daemon.stop();
        Death::Stopped
    }

    /// Everybody has a new token, or is told to log in again.
    fn serve_all(&self) {
        let deadline = Deadline::after(PATIENCE);
        let mut wire = Wire::connect(&self.home.socket());
        for slot in &self.slots {
            let mut slot = slot.lock().unwrap();
            while let Some(wait) =
                self.ask_for_token(&mut wire, &mut slot, Some(NEARLY_NEW)).expect("the daemon answers")
            {
                if deadline.left().is_none() {
                    let user = slot.as_ref().map_or(String::new(), |it| it.user.clone());
                    self.wrong(&user, "it is not served, though nothing goes wrong any more".to_owned());
                    break;
                }
                pause(u64::from(wait.clamp(20, 1_000)));
            }
        }
    }

    /// How many syncs a refresh takes when several are made at once.
    fn count_syncs(&self, figures: &mut Figures) {
        let mut wire = Wire::connect(&self.home.socket());
        for slot in &self.slots {
            let mut slot = slot.lock().unwrap();
            if slot.is_none() {
                *slot = self.log_in(&mut wire).expect("the daemon answers");
            }
        }
        let (_, passes_from) = self.home.passes(0);
        let steps_from = self.provider.steps(0).len();
        for _ in 0..extent::times(2, 5) {
            // Until all are a second old.
            pause(1_100);
            std::thread::scope(|scope| {
                for caller in 0..CALLERS {
                    scope.spawn(move || {
                        let mut wire = Wire::connect(&self.home.socket());
                        for slot in self.slots.iter().skip(caller).step_by(CALLERS) {
                            let mut slot = slot.lock().unwrap();
                            self.ask_for_token(&mut wire, &mut slot, Some(NEARLY_NEW)).expect("the daemon answers");
                        }
                    });
                }
            });
        }
        let (passes, _) = self.home.passes(passes_from);
        let syncs = passes.iter().filter(|pass| pass.name == "store.synced").count();
        let refreshes = self.provider.steps(steps_from).iter().filter(|step| step.what == What::Answered).count();
        let count = |number: usize| u32::try_from(number).expect("a short time has few of them");
        figures.calm = (count(syncs), count(refreshes));
    }

    /// What was acknowledged, and what was lost, stands in the audit trail; what was lost is seen wherever one looks for it.
    fn look_at_records(&self) {
        let (opened, buried, lost) = {
            let ledger = self.ledger.lock().unwrap();
            (ledger.opened.values().copied().collect::<Vec<_>>(), ledger.buried.clone(), ledger.lost.clone())
        };
        for session in &opened {
            self.home.syslog.wait_for(&["login_completed", &session.to_string()]);
        }
        for session in &buried {
            self.home.syslog.wait_for(&["logged_out", &session.to_string()]);
        }
        for session in &lost {
            self.home.syslog.wait_for(&["refresh_failed", &session.to_string(), "reason="]);
        }
        let mut wire = Wire::connect(&self.home.socket());
        for session in lost.iter().copied() {
            if let Err(what) = is_seen_as_lost(&mut wire, session) {
                self.wrong("", what);
            }
        }
        match wire.ask(&Request::Status) {
            Reply::Status(status) if status.sessions.need_login >= lost.len() as u64 => {}
            other => self.wrong("", format!("{} sessions were lost, and the status says {other:?}", lost.len())),
        }
    }
}

fn is_seen_as_lost(wire: &mut Wire, session: SessionRef) -> Result<(), String> {
    match wire.ask(&Request::Session(session)) {
        Reply::Session(detail) if matches!(detail.summary.state, SessionState::NeedsLogin { .. }) => {}
        other => return Err(format!("{session} is lost, and shown as {other:?}")),
    }
    match wire.ask(&Request::History(HistoryRequest { session, cursor: None })) {
        Reply::History(page) if page.entries.iter().any(|entry| entry.event == "refresh_failed") => Ok(()),
        other => Err(format!("{session} is lost, and its history is {other:?}")),
    }
}
