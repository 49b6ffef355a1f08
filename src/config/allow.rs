//! `[[allow]]`: who may do what. An omitted field never means "all", and a rule that could never match is reported.

use std::collections::BTreeSet;

use nix::unistd::{Group, User};
use tokenkeeper_protocol::ProviderName;

use super::keys;
use super::places::Mode;
use super::table::{Table, suggest};
use super::value::Complaint;
use crate::policy::{Action, Reach, Rule, Who};

/// Stands for every peer whose user has no number here; the daemon refuses it.
const OVERFLOW_ID: u32 = 65534;

/// The rules of a daemon whose configuration has none: one's own, or looking after the host's as root.
pub(super) fn built_in(mode: Mode, uid: u32) -> Rule {
    let (who, may, source) = match mode {
        Mode::System => (Who::User(0), vec![Action::Status, Action::List, Action::Manage], "built in for root"),
        Mode::User => (Who::User(uid), Action::ALL.to_vec(), "built in for the user's own daemon"),
    };
    Rule { who, may, provider: None, reach: Reach::All, source: source.to_owned() }
}

/// The providers a rule can name.
#[derive(Clone, Debug)]
pub(super) struct KnownProviders {
    pub(super) names: BTreeSet<String>,
    /// Whether those are all: a file that cannot be read may define more.
    pub(super) complete: bool,
}

/// One rule, or `None` with at least one finding.
pub(super) fn read(table: Table<'_>, providers: &KnownProviders) -> Option<Rule> {
    table.check_keys(&keys::ALLOW);
    let who = table.required("who", "\"unit:shop.service\"", |text| who(text, &table));
    let may = may(table);
    let provider = provider(table, providers, may.as_deref());
    let reach = table.parsed("sessions", reach).unwrap_or(Reach::Own);
    let place = table.place();
    let source = format!("{}:{}", place.file, place.line);
    Some(Rule { who: who?, may: may?, provider: provider?, reach, source })
}

fn who(text: &str, table: &Table<'_>) -> Result<Who, Complaint> {
    let allowed = "\"user:NAME\", \"group:NAME\" (or their numbers) or \"unit:NAME.service\"";
    let warn = |message: String| table.warning(table.place_of("who").unwrap_or_else(|| table.place()), message);
    let unknown = || Complaint::new(format!("{text:?} is not understood; write {allowed}"));
    let (kind, name) = text.split_once(':').ok_or_else(unknown)?;
    let found = match kind {
        "user" => {
            Who::User(id(name, "user", |name| User::from_name(name).map(|user| user.map(|user| user.uid.as_raw())))?)
        }
        "group" => Who::Group(id(name, "group", |name| {
            Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw()))
        })?),
        "unit" => Who::Unit(unit(name)?),
        _ => return Err(unknown()),
    };
    match &found {
        Who::User(OVERFLOW_ID) => {
            warn(format!("this rule never matches: user {OVERFLOW_ID} stands for nobody in particular"));
        }
        Who::Unit(unit) if unit.ends_with("@.service") => {
            warn(format!("this rule never matches: {unit} is a template; name its instances, such as x@1.service"));
        }
        Who::Unit(unit) if unit == "cron.service" => {
            warn("all cron jobs of this host run in cron.service; give the job a timer unit of its own".to_owned());
        }
        _ => {}
    }
    Ok(found)
}

/// A number, or what `look_up` finds for a name.
fn id(name: &str, kind: &str, look_up: impl Fn(&str) -> nix::Result<Option<u32>>) -> Result<u32, Complaint> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        // The highest number means "no change" to the kernel.
        let id = name.parse().ok().filter(|id| *id != u32::MAX);
        return id.ok_or_else(|| Complaint::new(format!("{name} is no number of a {kind}")));
    }
    match look_up(name) {
        Ok(Some(id)) => Ok(id),
        Ok(None) => Err(Complaint::new(format!("names a {kind} that this host does not know: {name:?}"))),
        Err(error) => Err(Complaint::new(format!("names the {kind} {name:?}, which cannot be looked up: {error}"))),
    }
}

fn unit(name: &str) -> Result<String, Complaint> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    let stem = name.strip_suffix(".service").filter(|stem| !stem.is_empty());
    if stem.is_some() && name.len() <= 255 && name.bytes().all(is_allowed) {
        return Ok(name.to_owned());
    }
    Err(Complaint::new(format!("{name:?} is no service unit; write its whole name, such as \"unit:shop.service\"")))
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

/// `Some(None)` is the explicit `"*"`, or a rule that is not about providers.
#[expect(
    clippy::option_option,
    reason = "the outer option is whether it could be read, the inner one is the rule's own"
)]
fn provider(table: Table<'_>, providers: &KnownProviders, may: Option<&[Action]>) -> Option<Option<ProviderName>> {
    let Some(text) = table.text("provider") else {
        let is_wrong_type = table.place_of("provider").is_some();
        let needs_none = may.is_some_and(|may| may.iter().all(|action| action.is_global()));
        if !is_wrong_type && !needs_none {
            table.error(table.place(), "provider is missing here; write the name of one, or \"*\" for all of them");
        }
        return (needs_none && !is_wrong_type).then_some(None);
    };
    if text.value == "*" {
        return Some(None);
    }
    if !providers.names.contains(text.value) && providers.complete {
        let names: Vec<_> = providers.names.iter().collect();
        let next = if names.is_empty() { "there is none yet".to_owned() } else { suggest(text.value, &names) };
        table.error(text.place, format!("no provider {:?} is configured; {next}", text.value));
        return None;
    }
    let name = text.value.parse().map_err(|error| Complaint::new(format!("{:?} is wrong: {error}", text.value)));
    table.accept("provider", &text.place, name).map(Some)
}

fn reach(text: &str) -> Result<Reach, Complaint> {
    match text {
        "own" => Ok(Reach::Own),
        "all" => Ok(Reach::All),
        "user" => Err(Complaint::new("\"user\" is not available in this version; allowed are \"own\", \"all\"")),
        other => Err(Complaint::new(format!("{other:?} is not known; {}", suggest(other, &["own", "all"])))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::test_host::Host;

    const CORP: &str = "[provider.corp]\nissuer = 'https://id.corp.example'\nclient_id = 'shop'\n";

    fn with(lines: &str) -> Host {
        Host::new().main(CORP).file("conf.d/rule.toml", &format!("[[allow]]\n{lines}\n"))
    }

    fn rule(lines: &str) -> Rule {
        with(lines).settings().rules.0.remove(0)
    }

    fn errors(lines: &str) -> String {
        with(lines).errors()
    }

    #[test]
    fn a_rule_means_what_it_says() {
        let rule = rule("who = 'unit:shop.service'\nmay = ['login', 'token', 'login']\nprovider = 'corp'");
        assert_eq!(rule.who, Who::Unit("shop.service".to_owned()));
        assert_eq!(rule.may, [Action::Login, Action::Token]);
        assert_eq!(rule.provider, Some("corp".parse().unwrap()));
        assert_eq!(rule.reach, Reach::Own, "the default is what the peer opened itself");
        assert_eq!(rule.source, "rule.toml:1");
    }

    #[test]
    fn all_providers_and_all_sessions_must_be_asked_for() {
        let rule = rule("who = 'group:0'\nmay = ['list']\nprovider = '*'\nsessions = 'all'");
        assert_eq!((rule.who, rule.provider, rule.reach), (Who::Group(0), None, Reach::All));
        let expected = "rule.toml:1:1: provider is missing here; write the name of one, or \"*\" for all of them";
        assert_eq!(errors("who = 'user:0'\nmay = ['status', 'list']"), expected);
    }

    #[test]
    fn a_rule_about_the_daemon_needs_no_provider() {
        assert_eq!(self::rule("who = 'user:0'\nmay = ['status']").provider, None);
    }

    #[test]
    fn users_and_groups_are_looked_up_by_name() {
        assert_eq!(rule("who = 'user:root'\nmay = ['status']").who, Who::User(0));
        assert_eq!(rule("who = 'group:root'\nmay = ['status']").who, Who::Group(0));
        assert_eq!(rule("who = 'user:4242'\nmay = ['status']").who, Who::User(4242));
        let expected = "rule.toml:2:7: who names a user that this host does not know: \"no-such-user\"";
        assert_eq!(errors("who = 'user:no-such-user'\nmay = ['status']"), expected);
        assert!(
            errors("who = 'group:no-such-group'\nmay = ['status']").contains("a group that this host does not know")
        );
        assert!(errors("who = 'user:'\nmay = ['status']").contains("does not know: \"\""));
        assert!(errors("who = 'user:4294967295'\nmay = ['status']").contains("is no number of a user"));
    }

    #[test]
    fn who_is_a_user_a_group_or_a_service() {
        for who in ["shop.service", "usr:root", ""] {
            assert!(errors(&format!("who = '{who}'\nmay = ['status']")).contains("write \"user:NAME\""), "{who}");
        }
        for unit in ["shop", "shop.socket", ".service", "/system.slice/shop.service", "a b.service"] {
            assert!(errors(&format!("who = 'unit:{unit}'\nmay = ['status']")).contains("is no service unit"), "{unit}");
        }
    }

    #[test]
    fn actions_are_known_planned_or_misspelt() {
        assert!(
            errors("who = 'user:0'\nmay = ['tokn']\nprovider = '*'").ends_with("\"tokn\"; did you mean \"token\"?")
        );
        for action in keys::ACTIONS_LATER {
            let errors = errors(&format!("who = 'user:0'\nmay = ['{action}']\nprovider = '*'"));
            assert!(errors.ends_with("which is not available in this version"), "{errors}");
        }
        assert!(errors("who = 'user:0'\nmay = []\nprovider = '*'").contains("this rule allows nothing"));
        assert!(errors("who = 'user:0'\nprovider = '*'").contains("may is missing here"));
    }

    #[test]
    fn a_rule_names_a_provider_that_is_there() {
        let expected = "rule.toml:4:12: no provider \"crop\" is configured; did you mean \"corp\"?";
        assert_eq!(errors("who = 'user:0'\nmay = ['list']\nprovider = 'crop'"), expected);
        let alone = Host::new().main("[[allow]]\nwho = 'user:0'\nmay = ['list']\nprovider = 'corp'\n");
        assert!(alone.errors().ends_with("is configured; there is none yet"));
    }

    #[test]
    fn a_broken_file_does_not_make_its_providers_unknown() {
        let host = Host::new()
            .file("conf.d/corp.toml", &format!("{CORP}idle = \n"))
            .file("conf.d/rule.toml", "[[allow]]\nwho = 'user:0'\nmay = ['list']\nprovider = 'corp'\n");
        let errors = host.errors();
        assert!(errors.lines().all(|line| line.starts_with("corp.toml:4:")), "{errors}");
    }

    #[test]
    fn whose_sessions_is_one_of_two_words() {
        let with = |word| errors(&format!("who = 'user:0'\nmay = ['list']\nprovider = '*'\nsessions = '{word}'"));
        assert!(with("user").contains("\"user\" is not available in this version"));
        assert!(with("al").ends_with("did you mean \"all\"?"));
    }

    #[test]
    fn a_rule_that_never_matches_is_worth_a_warning() {
        let warnings = |who| with(&format!("who = '{who}'\nmay = ['login']\nprovider = '*'")).warnings();
        assert!(warnings("user:65534").starts_with("rule.toml:2:1: this rule never matches"));
        assert!(warnings("unit:shop@.service").contains("is a template"));
        assert!(warnings("unit:cron.service").contains("timer unit"));
        assert_eq!(warnings("unit:shop@1.service"), "");
    }

    #[test]
    fn a_single_bracket_is_explained() {
        let host = Host::new().main("[allow]\nwho = 'user:0'\n");
        assert_eq!(host.errors(), "tokenkeeper.toml:1:1: allow is written in double brackets: [[allow]]");
    }
}
