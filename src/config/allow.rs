//! `[[allow]]`: who may do what. An omitted field never means "all", and a rule that could never match is reported.

use std::collections::BTreeSet;

use tokenkeeper_protocol::{AccountName, ProviderName};

use super::keys;
use super::places::Mode;
use super::table::{At, Table, suggest};
use super::value::Complaint;
use super::who;
use crate::policy::{Action, On, Reach, Rule, UserMap, Who};

/// The rules of a daemon whose configuration has none: one's own, or looking after the host's as root.
pub(super) fn built_in(mode: Mode, uid: u32) -> Rule {
    let (who, may, source) = match mode {
        Mode::System => (
            Who::User(0),
            vec![Action::Status, Action::List, Action::Manage, Action::Keys, Action::Backup, Action::Erase],
            "built in for root",
        ),
        Mode::User => (Who::User(uid), Action::ALL.to_vec(), "built in for the user's own daemon"),
    };
    Rule { who, may, on: On::EVERYTHING, source: source.to_owned() }
}

/// What a rule can name.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) providers: BTreeSet<String>,
    /// The service accounts.
    pub(super) accounts: BTreeSet<String>,
    /// Whether those are all: a file that cannot be read may define more.
    pub(super) complete: bool,
}

impl Known {
    /// A provider that is there, or `None` with a finding.
    pub(super) fn provider(&self, name: &At<&str>, table: &Table<'_>) -> Option<ProviderName> {
        if !self.providers.contains(name.value) && self.complete {
            let names: Vec<_> = self.providers.iter().collect();
            let next = if names.is_empty() { "there is none yet".to_owned() } else { suggest(name.value, &names) };
            table.error(name.place.clone(), format!("no provider {:?} is configured; {next}", name.value));
            return None;
        }
        let parsed = name.value.parse().map_err(|error| Complaint::new(format!("{:?} is wrong: {error}", name.value)));
        table.accept("provider", &name.place, parsed)
    }
}

/// One rule, or `None` with at least one finding.
pub(super) fn read(table: Table<'_>, known: &Known, users: &UserMap) -> Option<Rule> {
    table.check_keys(&keys::ALLOW);
    let who = table.required("who", "\"unit:shop.service\"", |text| who::read(text, &table));
    let may = may(table);
    let on = match table.text("account") {
        Some(account) => about_account(table, &account, known, may.as_deref()),
        None if table.place_of("account").is_some() => None,
        None => about_sessions(table, known, users, may.as_deref()),
    };
    if let (Some(may), Some(on)) = (&may, &on) {
        warn_if_wider(table, may, on);
    }
    let place = table.place();
    let source = format!("{}:{}", place.file, place.line);
    Some(Rule { who: who?, may: may?, on: on?, source })
}

/// Reports an action that goes further than the rest of the rule says.
fn warn_if_wider(table: Table<'_>, may: &[Action], on: &On) {
    let is_narrow = *on != On::EVERYTHING && ["provider", "account"].iter().any(|key| table.place_of(key).is_some());
    for action in may.iter().filter(|action| is_narrow && [Action::Keys, Action::Backup].contains(action)) {
        let place = table.place_of("may").unwrap_or_else(|| table.place());
        let next = "give it a rule of its own, without provider, sessions and account";
        table.warning(place, format!("\"{action}\" is about all sessions, whatever else this rule says; {next}"));
    }
}

/// Reports a rule that says nothing new.
pub(super) fn warn_if_repeated(table: Table<'_>, rule: &Rule, before: &[Rule]) {
    let same = |other: &&Rule| {
        let as_many = rule.may.len() == other.may.len() && rule.may.iter().all(|action| other.may.contains(action));
        as_many && (&rule.who, &rule.on) == (&other.who, &other.on)
    };
    if let Some(first) = before.iter().find(same) {
        table.warning(table.place(), format!("this rule says the same as the one at {}; remove one", first.source));
    }
}

fn may(table: Table<'_>) -> Option<Vec<Action>> {
    let Some(place) = table.place_of("may") else {
        table.missing("may", "[\"token\"]");
        return None;
    };
    let mut actions = table.list("may", action)?;
    if actions.is_empty() {
        table.error(place, "may is empty: this rule allows nothing; name at least one action");
        return None;
    }
    let mut seen = Vec::new();
    actions.retain(|action| {
        !seen.contains(action) && {
            seen.push(*action);
            true
        }
    });
    Some(actions)
}

fn action(text: &str) -> Result<Action, Complaint> {
    text.parse().map_err(|()| {
        if keys::ACTIONS_LATER.contains(&text) {
            return Complaint::new(format!("names {text:?}, which is not available in this version"));
        }
        let known: Vec<_> = Action::ALL.iter().map(|action| action.name()).collect();
        Complaint::new(format!("names an unknown action {text:?}; {}", suggest(text, &known)))
    })
}

fn about_account(table: Table<'_>, account: &At<&str>, known: &Known, may: Option<&[Action]>) -> Option<On> {
    let mut alone = true;
    for key in ["provider", "sessions"] {
        if let Some(place) = table.place_of(key) {
            let next = "a rule is about sessions or about a service account; write two rules";
            table.error(place, format!("{key} and account do not go together: {next}"));
            alone = false;
        }
    }
    if may.is_some_and(|may| may.contains(&Action::Login)) {
        let place = table.place_of("may").unwrap_or_else(|| table.place());
        table.warning(place, "\"login\" never matches here: nobody logs in to a service account");
    }
    let name = match account.value {
        "*" => None,
        text => {
            let parsed =
                text.parse::<AccountName>().map_err(|error| Complaint::new(format!("{text:?} is wrong: {error}")));
            Some(table.accept("account", &account.place, parsed)?)
        }
    };
    if let (Some(name), true) = (&name, known.complete)
        && !known.accounts.contains(name.as_str())
    {
        let names: Vec<_> = known.accounts.iter().collect();
        let next = if names.is_empty() { "there is none yet".to_owned() } else { suggest(name.as_str(), &names) };
        let what = format!("this rule never matches: no service account {:?} is configured; {next}", name.as_str());
        table.warning(account.place.clone(), what);
    }
    alone.then_some(On::Account(name))
}

fn about_sessions(table: Table<'_>, known: &Known, users: &UserMap, may: Option<&[Action]>) -> Option<On> {
    let provider = provider(table, known, may);
    let reach = table.parsed("sessions", reach).unwrap_or(Reach::Own);
    let provider = provider?;
    if reach == Reach::User && users.is_empty_at(provider.as_ref()) {
        let heading =
            provider.as_ref().map_or("user_map.PROVIDER".to_owned(), |provider| format!("user_map.{provider}"));
        let place = table.place_of("sessions").unwrap_or_else(|| table.place());
        table
            .warning(place, format!("this rule reaches no session: there is no [{heading}] that says whose are meant"));
    }
    Some(On::Sessions { provider, reach })
}

/// `Some(None)` is the explicit `"*"`, or a rule that is not about providers.
#[expect(
    clippy::option_option,
    reason = "the outer option is whether it could be read, the inner one is the rule's own"
)]
fn provider(table: Table<'_>, known: &Known, may: Option<&[Action]>) -> Option<Option<ProviderName>> {
    let Some(text) = table.text("provider") else {
        let is_wrong_type = table.place_of("provider").is_some();
        let needs_none = may.is_some_and(|may| may.iter().all(|action| action.is_global()));
        if !is_wrong_type && !needs_none {
            let next = "write the name of one, or \"*\" for all of them; or account, for a service account";
            table.error(table.place(), format!("provider is missing here; {next}"));
        }
        return (needs_none && !is_wrong_type).then_some(None);
    };
    if text.value == "*" { Some(None) } else { known.provider(&text, &table).map(Some) }
}

fn reach(text: &str) -> Result<Reach, Complaint> {
    let known = [Reach::Own, Reach::User, Reach::All];
    let found = known.into_iter().find(|reach| reach.name() == text);
    let names = known.map(Reach::name);
    found.ok_or_else(|| Complaint::new(format!("{text:?} is not known; {}", suggest(text, &names))))
}
