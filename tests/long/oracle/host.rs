//! A provider, a home, and sessions; and one life of a daemon after the other.

use std::sync::{Mutex, RwLock};
use std::time::Duration;

use rand::rngs::StdRng;

use super::figures::Figures;
use super::ledger::Ledger;
use super::life::Death;
use super::plan::Plan;
use crate::support::failpoints::{monotonic, points};
use crate::support::{Config, Home, Rotation, ScriptedProvider};
use tokenkeeper_protocol::SessionRef;

/// Seconds that access tokens live, and how much of that is asked for to have one that is a second old renewed.
pub(crate) const ACCESS_LIFE: u64 = 8;
pub(crate) const NEARLY_NEW: u32 = 7;
/// Sessions that there are.
const SLOTS: usize = 24;

/// How refreshes leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// With so much time in between that one is kept before the next one leaves.
    OneByOne,
    /// As they come.
    Together,
}

/// What stays over all lives.
pub(crate) struct Host {
    pub(crate) rotation: Rotation,
    pace: Pace,
    pub(crate) provider: ScriptedProvider,
    pub(crate) home: Home,
    /// Sessions in use. One that is lost or logged out makes room for a login.
    pub(crate) slots: Vec<Mutex<Option<Slot>>>,
    /// Held while a browser is on its way, for whom no connection may be refused.
    pub(crate) door: RwLock<()>,
    pub(crate) ledger: Mutex<Ledger>,
}

/// A session in use.
#[derive(Clone)]
pub(crate) struct Slot {
    pub(crate) session: SessionRef,
    pub(crate) user: String,
    /// The place of the last token that was handed out.
    pub(crate) place: u64,
}

impl Host {
    pub(crate) fn new(rotation: Rotation, line: &str, pace: Pace) -> Self {
        let provider = ScriptedProvider::start();
        provider.access_life(ACCESS_LIFE).rotation(rotation);
        let pace_line = match pace {
            Pace::OneByOne => "concurrency = 1\nrate = \"5/s\"",
            Pace::Together => "rate = \"1000/s\"",
        };
        let config = Config::empty().provider("corp", &provider.issuer).with(line).with(pace_line);
        let config = config.schedule("prune = \"* * * * * *\"").schedule("retention = \"0s\"");
        let home = Home::new(&config);
        let slots = (0..SLOTS).map(|_| Mutex::default()).collect();
        Self { rotation, pace, provider, home, slots, door: RwLock::default(), ledger: Mutex::default() }
    }

    /// Goes on until so many lives ended at a failpoint, and so many faults came to pass.
    pub(crate) fn endure(&self, times: usize, random: &mut StdRng) -> Figures {
        let (points, mut figures) = (points(), Figures::default());
        while figures.kills < times || figures.faults < times {
            let plan = Plan::draw(&points, self.rotation, self.pace, random);
            let plan = if self.needs_rest() { plan.without_trouble() } else { plan };
            self.provider.client_restarted();
            let death = self.live(&plan);
            self.account(&mut figures, &death, !plan.fails_store());
            self.check(&figures, Some(&plan), &death);
            assert!(figures.lives < 4 * times + 20, "too few lives end at a failpoint: {figures}");
        }
        self.provider.forget_faults();
        self.provider.client_restarted();
        let death = self.rest(&mut figures);
        self.check(&figures, None, &death);
        figures
    }

    /// Whether somebody was killed in each try for so long that the grace may come to its end.
    fn needs_rest(&self) -> bool {
        let Rotation::Grace(seconds) = self.rotation else { return false };
        let (ledger, then) = (self.ledger.lock().unwrap(), monotonic().saturating_sub(seconds * 1_000_000_000 / 3));
        let users = self.slots.iter().filter_map(|slot| slot.lock().unwrap().as_ref().map(|it| it.user.clone()));
        users.into_iter().any(|user| ledger.is_exposed_since(&user, then))
    }

    /// Ends the proof if anything is wrong, with all that is known about it.
    pub(crate) fn check(&self, figures: &Figures, plan: Option<&Plan>, death: &Death) {
        let ledger = self.ledger.lock().unwrap();
        let violations = self.provider.violations();
        if ledger.wrong.is_empty() && violations.is_empty() {
            return;
        }
        let wrong = ledger.wrong.iter().map(|(user, what)| format!("WRONG: {what}\n{}", self.tale_of(user, &ledger)));
        let violations = violations.iter().map(|what| {
            let user = ledger.opened.keys().find(|user| what.contains(&format!(" of {user} ")));
            format!("VIOLATION: {what}\n{}", user.map_or_else(String::new, |user| self.tale_of(user, &ledger)))
        });
        let stderr = self.home.stderr();
        let last = stderr.lines().count().saturating_sub(40);
        panic!(
            "{:?}, {:?}, life {}, kill {}, ended at {death:?}\n{plan:?}\n{}{}",
            self.rotation,
            self.pace,
            figures.lives,
            figures.kills,
            wrong.chain(violations).collect::<String>(),
            stderr.lines().skip(last).collect::<Vec<_>>().join("\n")
        );
    }

    /// Everything that is known about the session of a user, in its order.
    fn tale_of(&self, user: &str, ledger: &Ledger) -> String {
        let session = ledger.opened.get(user);
        let steps = self.provider.steps(0).into_iter().filter(|step| step.user == user);
        let at_provider = steps
            .map(|step| (step.at, format!("provider: {:?} of number {}, life {}", step.what, step.number, step.life)));
        let (passes, _) = self.home.passes(0);
        let here = passes.into_iter().filter(|pass| pass.session.as_ref() == session && session.is_some());
        let here = here.map(|pass| (pass.at, format!("daemon: {} {:?}", pass.name, pass.came)));
        let mut tale: Vec<_> = at_provider.chain(here).collect();
        tale.sort();
        let last = tale.len().saturating_sub(60);
        let lines = tale[last..].iter().map(|(at, what)| format!("  {:?} {what}\n", Duration::from_nanos(*at)));
        format!("{user} {session:?}\n{}", lines.collect::<String>())
    }
}
