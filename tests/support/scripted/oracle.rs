//! What the scripted provider remembers of every refresh token: of which login it is, what came after it, and who has it when.
//!
//! It tells what a client must never do, whatever goes wrong: send one refresh token twice at the same time, or one whose
//! successor it is known to have.

use std::collections::{BTreeMap, HashMap};

use super::super::deadline::Stopwatch;

/// How refresh tokens are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// They stay, and an answer names them again.
    Repeated,
    /// They stay, and an answer does not speak of them.
    Silent,
    /// Each refresh brings a new one; to send a spent one again ends the login (RFC 9700 section 4.14.2).
    Strict,
    /// The same, but the one before the newest is accepted for so many seconds after it was spent.
    Grace(u64),
}

/// What a refresh token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// It is as good as new.
    Good,
    /// It was spent, and whoever sends it again is a thief.
    Spent,
}

#[derive(Default)]
pub(super) struct Oracle {
    tokens: HashMap<String, Issued>,
    /// The access token that came with each refresh token, and the order in which access tokens came.
    access: HashMap<String, (String, u64)>,
    /// By login: the newest refresh token that the client has shown to have.
    shown: BTreeMap<u64, u64>,
    /// Refresh tokens that were sent and have no answer yet, by the life of the client that sent them.
    in_flight: HashMap<(u64, String), usize>,
    /// How often the client was started anew.
    life: u64,
    last_login: u64,
    last_access: u64,
    violations: Vec<String>,
    watch: Option<Stopwatch>,
}

struct Issued {
    login: u64,
    number: u64,
    spent_at: Option<u128>,
}

impl Oracle {
    /// A refresh token of a new login.
    pub(super) fn issue(&mut self, token: &str) {
        self.last_login += 1;
        let login = self.last_login;
        self.tokens.insert(token.to_owned(), Issued { login, number: 0, spent_at: None });
    }

    /// The successor of one that is spent with this.
    pub(super) fn succeed(&mut self, spent: &str, token: &str) {
        let now = self.now();
        let Some(old) = self.tokens.get_mut(spent) else { return };
        old.spent_at.get_or_insert(now);
        let login = old.login;
        let newest = self.tokens.values().filter(|it| it.login == login).map(|it| it.number).max().unwrap_or(0);
        self.tokens.insert(token.to_owned(), Issued { login, number: newest + 1, spent_at: None });
    }

    /// An access token that comes with a refresh token.
    pub(super) fn grant(&mut self, refresh_token: &str, access_token: &str) {
        self.last_access += 1;
        self.access.insert(access_token.to_owned(), (refresh_token.to_owned(), self.last_access));
    }

    /// What a token is worth under `rotation`.
    pub(super) fn worth(&mut self, token: &str, rotation: Rotation) -> Worth {
        let now = self.now();
        let Some(issued) = self.tokens.get(token) else { return Worth::Spent };
        match (rotation, issued.spent_at) {
            (Rotation::Repeated | Rotation::Silent, _) | (_, None) => Worth::Good,
            (Rotation::Grace(seconds), Some(at)) if now < at + u128::from(seconds) * 1000 => {
                let newest = self.tokens.values().filter(|it| it.login == issued.login).map(|it| it.number).max();
                // Those that were issued in its place meanwhile come from tries whose answer was lost.
                let was_used = self
                    .tokens
                    .values()
                    .any(|it| it.login == issued.login && it.number > issued.number && it.spent_at.is_some());
                if newest.is_some() && !was_used { Worth::Good } else { Worth::Spent }
            }
            _ => Worth::Spent,
        }
    }

    /// All refresh tokens of the login of one of them.
    pub(super) fn relatives(&self, token: &str) -> Vec<String> {
        let Some(login) = self.tokens.get(token).map(|it| it.login) else { return vec![] };
        self.tokens.iter().filter(|(_, it)| it.login == login).map(|(token, _)| token.clone()).collect()
    }

    /// The client sends a refresh token. Returns what to hand to [`Self::answered`].
    pub(super) fn sent(&mut self, token: &str) -> (u64, String) {
        let flight = (self.life, token.to_owned());
        let running = self.in_flight.entry(flight.clone()).or_default();
        *running += 1;
        if *running > 1 {
            self.violations.push(format!("{token} is in flight {running} times"));
        }
        if let Some(it) = self.tokens.get(token) {
            let shown = self.shown.get(&it.login).copied().unwrap_or(0);
            if it.number < shown {
                let said = format!("{token} is number {} of its login, and number {shown} was known", it.number);
                self.violations.push(said);
            }
        }
        self.show(token);
        flight
    }

    pub(super) fn answered(&mut self, flight: &(u64, String)) {
        if let Some(running) = self.in_flight.get_mut(flight) {
            *running -= 1;
        }
    }

    /// The client is started anew: what its last life sent is nobody's any more.
    pub(super) fn restarted(&mut self) {
        self.life += 1;
    }

    /// The client handed this access token out: it must have the refresh token that came with it. Returns its place in the order.
    pub(super) fn handed_out(&mut self, access_token: &str) -> Option<u64> {
        let (refresh_token, place) = self.access.get(access_token).cloned()?;
        self.show(&refresh_token);
        Some(place)
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.violations.clone()
    }

    fn show(&mut self, token: &str) {
        if let Some(it) = self.tokens.get(token) {
            let shown = self.shown.entry(it.login).or_default();
            *shown = it.number.max(*shown);
        }
    }

    fn now(&mut self) -> u128 {
        self.watch.get_or_insert_with(Stopwatch::start).elapsed().as_millis()
    }
}
