//! What was promised, and what may be lost: worked out after every life from what the provider and the failpoints noted.
//!
//! A session is exposed when the provider has spent its refresh token, and the daemon was killed, or lost the answer, before the
//! result was kept. Where nothing is forgiven those are lost, and no others: a kill costs at most one session for each refresh that
//! was inside its window at that moment.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use tokenkeeper_protocol::SessionRef;

use super::figures::Figures;
use super::host::Host;
use super::life::Death;
use crate::support::failpoints::{Came, Pass};
use crate::support::{Rotation, What};

#[derive(Default)]
pub(crate) struct Ledger {
    users: usize,
    /// The sessions of logins that were acknowledged.
    pub(crate) opened: BTreeMap<String, SessionRef>,
    /// Sessions whose logout was acknowledged.
    pub(crate) buried: Vec<SessionRef>,
    /// Those whose user has to log in again.
    pub(crate) lost: BTreeSet<SessionRef>,
    /// The same, not yet judged.
    pub(crate) newly_lost: Vec<(String, SessionRef)>,
    /// Users whose session is exposed.
    exposed: BTreeMap<String, Exposed>,
    /// What each kill cost, by the life that it ended.
    kills: BTreeMap<usize, Kill>,
    /// The newest epoch that was acknowledged.
    pub(crate) epoch: u32,
    /// What must not be, and of which user.
    pub(crate) wrong: Vec<(String, String)>,
    read: Read,
}

/// How far the notes were read.
#[derive(Default)]
struct Read {
    passes: usize,
    steps: usize,
}

/// How a session is exposed.
#[derive(Clone, Copy)]
struct Exposed {
    by: By,
    /// Which token was spent, and when for the first time.
    number: u64,
    since: u64,
}

/// What exposed a session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// The one that ended this life.
    Kill(usize),
    LostAnswer,
}

/// What a kill cost.
#[derive(Default)]
struct Kill {
    /// Refreshes that were inside their window.
    inside: usize,
    /// Sessions that were lost by it since.
    lost: usize,
}

impl Ledger {
    pub(crate) fn next_user(&mut self) -> String {
        self.users += 1;
        format!("user-{}", self.users)
    }

    /// Whether the session of a user is exposed since before `then`.
    pub(crate) fn is_exposed_since(&self, user: &str, then: u64) -> bool {
        self.exposed.get(user).is_some_and(|it| it.since < then)
    }
}

impl Host {
    /// Draws the balance of a life. Its windows count if they are `ordinary`.
    pub(crate) fn account(&self, figures: &mut Figures, death: &Death, ordinary: bool) {
        // What a daemon had sent when it was killed, a busy provider may not have read yet. Read while this is drawn, it makes a token
        // that the daemon never heard of look like the newest that it has; read later, it looks like the deed of the next life.
        self.provider.hear_out();
        let mut ledger = self.ledger.lock().unwrap();
        let (passes, read) = self.home.passes(ledger.read.passes);
        let steps = self.provider.steps(ledger.read.steps);
        ledger.read = Read { passes: read, steps: ledger.read.steps + steps.len() };
        figures.lives += 1;
        let ended_at = passes.iter().find(|pass| pass.came == Came::Killed).map(|pass| pass.name.as_str());
        if matches!(death, Death::Killed) {
            figures.died_at(ended_at.unwrap_or("the provider"));
        }
        figures.faults = self.provider.faulted() + figures.failed(&passes);

        // By user: when the last token was spent.
        let mut spent = BTreeMap::new();
        // By user and number: when the successor of a token was kept.
        let mut succeeded = BTreeMap::new();
        for step in &steps {
            match step.what {
                What::Spent => {
                    // It was accepted: whatever was feared before did not happen.
                    let before = ledger.exposed.remove(&step.user);
                    // Unless this is the same token once more.
                    let since = before.filter(|it| it.number == step.number).map_or(step.at, |it| it.since);
                    spent.insert(step.user.clone(), (step, since));
                }
                What::AnswerLost => {
                    let since = spent.get(&step.user).map_or(step.at, |(_, since)| *since);
                    let exposed = Exposed { by: By::LostAnswer, number: step.number, since };
                    ledger.exposed.insert(step.user.clone(), exposed);
                }
                What::Answered => {
                    let kept = ledger.opened.get(&step.user).and_then(|session| kept(&passes, *session, step.at));
                    figures.refreshes += usize::from(kept.is_some());
                    figures.windows.extend(kept.filter(|_| ordinary).map(|at| at - step.at));
                    if kept.is_none() && !ordinary {
                        self.may_go_back(&step.user, step.number);
                    }
                    if let Some(at) = kept.filter(|_| spent.contains_key(&step.user)) {
                        succeeded.insert((&step.user, step.number), at);
                    }
                }
                What::Sent => {
                    if succeeded.get(&(&step.user, step.number)).is_some_and(|kept| *kept < step.at) {
                        let said = format!("number {} is sent, and its successor was kept", step.number);
                        ledger.wrong.push((step.user.clone(), said));
                    }
                }
                What::Shown => {}
            }
        }
        let was_killed = matches!(death, Death::Killed | Death::InTime);
        let life = figures.lives;
        let mut kill = Kill::default();
        for (user, (step, since)) in spent {
            let Some(session) = ledger.opened.get(&user).copied() else { continue };
            if kept(&passes, session, step.at).is_some() {
                if !ledger.exposed.contains_key(&user) {
                    self.provider.has_newest(&user);
                }
            } else if let Entry::Vacant(unexposed) = ledger.exposed.entry(user)
                && was_killed
            {
                unexposed.insert(Exposed { by: By::Kill(life), number: step.number, since });
                kill.inside += 1;
            }
        }
        figures.kills_inside += usize::from(kill.inside > 0);
        figures.most_inside = figures.most_inside.max(kill.inside);
        figures.inside += kill.inside;
        ledger.kills.insert(life, kill);

        for (user, session) in std::mem::take(&mut ledger.newly_lost) {
            ledger.lost.insert(session);
            match ledger.exposed.get(&user).map(|it| it.by).filter(|_| self.rotation == Rotation::Strict) {
                Some(By::Kill(life)) => {
                    figures.lost_by_kill += 1;
                    let kill = ledger.kills.entry(life).or_default();
                    kill.lost += 1;
                    if kill.lost > kill.inside {
                        let Kill { inside, lost } = *kill;
                        let said = format!("the kill of life {life} cost {lost} sessions, with {inside} in the window");
                        ledger.wrong.push((user, said));
                    }
                }
                Some(By::LostAnswer) => figures.lost_by_answer += 1,
                None => ledger.wrong.push((user, format!("{session} is lost, and need not be"))),
            }
        }
    }
}

impl Host {
    /// While the store fails, a new token is served out of memory, and may be gone with the process: the one before it comes back.
    fn may_go_back(&self, user: &str, to: u64) {
        self.provider.goes_back(user, to);
        for slot in &self.slots {
            if let Some(slot) = slot.lock().unwrap().as_mut().filter(|slot| slot.user == user) {
                slot.place = 0;
            }
        }
    }
}

/// When the answer that left the provider at `at`, or later, was kept: unless the next refresh began before.
fn kept(passes: &[Pass], session: SessionRef, at: u64) -> Option<u64> {
    let of_session = passes.iter().filter(|pass| pass.session == Some(session) && pass.at > at);
    let mut flight = of_session.take_while(|pass| pass.name != "refresh.before-intent");
    flight.find(|pass| pass.name == "refresh.kept").map(|pass| pass.at)
}
