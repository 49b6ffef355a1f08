//! A process that writes until it is stopped, and the oracle that knows what must be there afterwards.
//!
//! Every session goes through steps: absent, new, about to be refreshed, refreshed, absent again. The process says which step
//! of which session was acknowledged; each has at most one more under way. What is found must be the one or the other, whole:
//! the record, its history, its intent, and every index.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_executor::block_on;
use tokenkeeper_protocol::UnixSeconds;
use tokenkeeperd::audit::What;
use tokenkeeperd::domain::Session;
use tokenkeeperd::vault::{Intent, Scope, Vault, VaultError};

use super::sample::{self, NOW, reference, session};

/// Sessions that are written to.
pub(crate) const SESSIONS: usize = 48;
/// Threads that write, each to sessions of its own.
const LANES: usize = 8;

/// The directory and the steps for the process that writes.
const DIRECTORY: &str = "TOKENKEEPER_TEST_STORE";
const STEPS: &str = "TOKENKEEPER_TEST_STEPS";

/// How far every session has come, by its number.
pub(crate) type Steps = Vec<u64>;

/// One life of the process that writes.
pub(crate) struct Life {
    child: Child,
    heard: JoinHandle<Vec<(usize, u64)>>,
}

impl Life {
    /// Begins one that goes on from `steps`.
    pub(crate) fn begin(dir: &Path, steps: &Steps) -> Self {
        let words: Vec<_> = steps.iter().map(u64::to_string).collect();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lives::the_process_that_writes", "--ignored", "--nocapture"])
            .env(DIRECTORY, dir)
            .env(STEPS, words.join(","))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let heard = std::thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok);
            lines.filter_map(|line| acknowledged(&line)).collect()
        });
        Self { child, heard }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without a warning; what it had said was acknowledged.
    pub(crate) fn end(mut self) -> Vec<(usize, u64)> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.heard.join().unwrap()
    }
}

/// `written NUMBER STEP.`; without its end, the process was stopped while it said it.
fn acknowledged(line: &str) -> Option<(usize, u64)> {
    let (number, step) = line.strip_prefix("written ")?.strip_suffix('.')?.split_once(' ')?;
    Some((number.parse().ok()?, step.parse().ok()?))
}

#[test]
#[ignore = "runs as the process that is stopped"]
fn the_process_that_writes() {
    let (Some(dir), Ok(steps)) = (std::env::var_os(DIRECTORY), std::env::var(STEPS)) else { return };
    let steps: Steps = steps.split(',').map(|step| step.parse().unwrap()).collect();
    let vault = sample::vault(Path::new(&dir));
    // The harness has begun a line.
    println!();
    std::thread::scope(|scope| {
        for lane in 0..LANES {
            let (vault, mut steps) = (&vault, steps.clone());
            scope.spawn(move || {
                // A disk that is gone ends the lane; whoever runs this ends the process.
                while (lane..SESSIONS).step_by(LANES).all(|number| {
                    let taken = take_step(vault, number, steps[number]).is_ok();
                    steps[number] += u64::from(taken);
                    if taken {
                        println!("written {number} {}.", steps[number]);
                    }
                    taken
                }) {}
            });
        }
    });
}

/// Takes session `number` from step `from` to the next.
fn take_step(vault: &Vault, number: usize, from: u64) -> Result<(), VaultError> {
    let (id, to) = (reference(number as u64), from + 1);
    let mut change = vault.change(NOW);
    if let Some(old) = vault.session(id)? {
        if Phase::of(to) == Phase::Absent {
            change.remove(&old)?;
        } else {
            let told = old.value.told;
            change.update(&old, &Session { told, ..session(number as u64, to) })?;
        }
    } else {
        change.insert(&session(number as u64, to))?;
    }
    match Phase::of(to) {
        Phase::Intended => drop(change.intend(id, &Intent { generation: to, at: NOW })?),
        _ => drop(change.settle(id)),
    }
    let provider = "corp".parse().unwrap();
    change.audit(What::RefreshDone { session: id, provider, generation: to })?;
    block_on(change.commit())
}

/// What a session is like at a step.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Absent,
    New,
    Intended,
    Refreshed,
}

impl Phase {
    fn of(step: u64) -> Self {
        match step % 4 {
            0 => Self::Absent,
            1 => Self::New,
            2 => Self::Intended,
            _ => Self::Refreshed,
        }
    }
}

/// Looks at every session in `dir` after a life that acknowledged `heard`, and returns the steps that they are at.
///
/// # Panics
/// When something acknowledged is not there, or something is there in part.
pub(crate) fn judge(dir: &Path, mut steps: Steps, heard: &[(usize, u64)]) -> Steps {
    for (number, step) in heard {
        assert_eq!(steps[*number] + 1, *step, "the oracle missed a step of session {number}");
        steps[*number] = *step;
    }
    let vault = sample::vault(dir);
    let due = vault.due(UnixSeconds(i64::MAX), None, usize::MAX).unwrap();
    let unsettled = vault.unsettled().unwrap();
    for (number, step) in steps.iter_mut().enumerate() {
        *step = found(&vault, number, *step);
        let (id, phase) = (reference(number as u64), Phase::of(*step));
        let expected_due = (phase != Phase::Absent).then_some(NOW + Duration::from_secs(*step));
        let its_due: Vec<_> = due.iter().filter(|(_, session)| *session == id).map(|(at, _)| *at).collect();
        assert_eq!(its_due, Vec::from_iter(expected_due), "the agenda of session {number} at step {step}");
        let intent: Vec<_> =
            unsettled.iter().filter(|(session, _)| *session == id).map(|(_, it)| it.generation).collect();
        let expected_intent = (phase == Phase::Intended).then_some(*step);
        assert_eq!(intent, Vec::from_iter(expected_intent), "the intent of session {number} at step {step}");
        let (provider, name) = ("corp".parse().unwrap(), format!("user{number}").parse().unwrap());
        let named = vault.page(Scope::Named(&provider, &name), None, 10).unwrap().sessions.len();
        assert_eq!(named, usize::from(phase != Phase::Absent), "the name of session {number} at step {step}");
    }
    let present = steps.iter().filter(|step| Phase::of(**step) != Phase::Absent).count();
    assert_eq!(vault.count_states().unwrap().active, present as u64);
    assert_eq!(vault.page(Scope::All, None, usize::MAX).unwrap().sessions.len(), present);
    steps
}

/// The step that a session is at of which `acknowledged` was the last to be acknowledged.
fn found(vault: &Vault, number: usize, acknowledged: u64) -> u64 {
    let possible = [acknowledged, acknowledged + 1];
    let Some(found) = vault.session(reference(number as u64)).unwrap() else {
        let absent = possible.into_iter().find(|step| Phase::of(*step) == Phase::Absent);
        return absent.unwrap_or_else(|| panic!("session {number} is lost: it was at step {acknowledged}"));
    };
    let (step, told) = (found.value.generation, found.value.told);
    assert!(possible.contains(&step), "session {number} is at step {step}, and {acknowledged} was acknowledged");
    assert!(found.value == Session { told, ..session(number as u64, step) }, "session {number} is not whole");
    assert_eq!(told, step % 4, "every change is told once");
    let history = vault.history(&found.value, None, 100).unwrap().events.len() as u64;
    assert_eq!(history, told, "the history of session {number}");
    step
}
