//! What the scripted provider remembers of every refresh token: of which login it is, what came after it, and who has it when.
//!
//! It tells what a client must never do, whatever goes wrong: send one refresh token twice at the same time, or one whose
//! successor it is known to have.

use std::collections::{BTreeMap, HashMap};

use super::super::failpoints::monotonic;

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

/// Something that happened to a refresh token.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// By the clock of [`monotonic`].
    pub(crate) at: u64,
    /// In which life of the client.
    pub(crate) life: u64,
    pub(crate) user: String,
    /// Which of the tokens of its login.
    pub(crate) number: u64,
    pub(crate) what: What,
}

/// What happened to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It came.
    Sent,
    /// It is worth nothing from now on; its successor was made.
    Spent,
    /// An answer to it is about to leave as it should.
    Answered,
    /// What was done is not told.
    AnswerLost,
    /// The client has it, and shows that.
    Shown,
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
    steps: Vec<Step>,
}

struct Issued {
    user: String,
    login: u64,
    number: u64,
    spent_at: Option<u64>,
    /// When the access token came that came with it.
    granted_at: u64,
    /// It was sent, and for all that the client can know it was spent.
    may_be_spent: bool,
}

impl Issued {
    fn new(user: &str, login: u64, number: u64) -> Self {
        Self { user: user.to_owned(), login, number, spent_at: None, granted_at: monotonic(), may_be_spent: false }
    }
}

impl Oracle {
    /// A refresh token of a new login.
    pub(super) fn issue(&mut self, token: &str, user: &str) {
        self.last_login += 1;
        let login = self.last_login;
        self.tokens.insert(token.to_owned(), Issued::new(user, login, 0));
    }

    /// The successor of one that is spent with this.
    pub(super) fn succeed(&mut self, spent: &str, token: &str) {
        self.note(spent, What::Spent);
        let Some(old) = self.tokens.get_mut(spent) else { return };
        old.spent_at.get_or_insert(monotonic());
        let (user, login) = (old.user.clone(), old.login);
        let newest = self.tokens.values().filter(|it| it.login == login).map(|it| it.number).max().unwrap_or(0);
        self.tokens.insert(token.to_owned(), Issued::new(&user, login, newest + 1));
    }

    /// An access token that comes with a refresh token.
    pub(super) fn grant(&mut self, refresh_token: &str, access_token: &str) {
        self.last_access += 1;
        self.access.insert(access_token.to_owned(), (refresh_token.to_owned(), self.last_access));
    }

    /// What a token is worth under `rotation`.
    pub(super) fn worth(&mut self, token: &str, rotation: Rotation) -> Worth {
        let now = monotonic();
        let Some(issued) = self.tokens.get(token) else { return Worth::Spent };
        match (rotation, issued.spent_at) {
            (Rotation::Repeated | Rotation::Silent, _) | (_, None) => Worth::Good,
            (Rotation::Grace(seconds), Some(at)) if now < at + seconds * 1_000_000_000 => {
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

    /// The client sends a refresh token. Returns what to hand to [`Self::answered`]. Access tokens live for `life` seconds: where
    /// nothing is forgiven, a token that may be spent is not to be sent again as long as there is one to lose.
    pub(super) fn sent(&mut self, token: &str, rotation: Rotation, life: u64) -> (u64, String) {
        self.note(token, What::Sent);
        let flight = (self.life, token.to_owned());
        let running = self.in_flight.entry(flight.clone()).or_default();
        *running += 1;
        if *running > 1 {
            let running = *running;
            let user = self.tokens.get(token).map_or("nobody", |it| it.user.as_str());
            self.violations.push(format!("{token} of {user} is in flight {running} times"));
        }
        if let Some(it) = self.tokens.get_mut(token) {
            // Half of it: the client counts from when it asked, in whole seconds.
            let is_early = monotonic() < it.granted_at + life * 500_000_000;
            if it.may_be_spent && is_early && rotation == Rotation::Strict {
                let said =
                    format!("{token} of {} may be spent, and is sent again while there is something to lose", it.user);
                self.violations.push(said);
            }
            it.may_be_spent = true;
            let shown = self.shown.get(&it.login).copied().unwrap_or(0);
            if it.number < shown {
                let (user, number) = (&it.user, it.number);
                let said = format!("{token} of {user} is number {number}, and number {shown} was known");
                self.violations.push(said);
            }
        }
        self.show(token);
        flight
    }

    /// The client is about to be told that this token is as good as it was.
    pub(super) fn is_not_spent(&mut self, token: &str) {
        if let Some(it) = self.tokens.get_mut(token) {
            it.may_be_spent = false;
        }
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
        let Some(it) = self.tokens.get(token) else { return };
        let shown = self.shown.entry(it.login).or_default();
        if it.number > *shown {
            *shown = it.number;
            self.note(token, What::Shown);
        }
    }

    /// The client says that it has the newest refresh token of a user.
    pub(super) fn has_newest(&mut self, user: &str) {
        let of_user = self.tokens.iter().filter(|(_, it)| it.user == user);
        if let Some((newest, _)) = of_user.max_by_key(|(_, it)| (it.login, it.number)) {
            let newest = newest.clone();
            self.show(&newest);
        }
    }

    /// The client may have no newer one any more of the last login of `user` than this number.
    pub(super) fn goes_back(&mut self, user: &str, number: u64) {
        let of_user = self.tokens.values().filter(|it| it.user == user);
        if let Some(shown) = of_user.map(|it| it.login).max().and_then(|login| self.shown.get_mut(&login)) {
            *shown = number.min(*shown);
        }
    }

    pub(super) fn note(&mut self, token: &str, what: What) {
        if let Some(it) = self.tokens.get(token) {
            let (user, number) = (it.user.clone(), it.number);
            self.steps.push(Step { at: monotonic(), life: self.life, user, number, what });
        }
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }
}
