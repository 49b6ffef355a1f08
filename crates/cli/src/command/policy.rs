//! `tokenkeeper whoami` and `tokenkeeper policy explain`: who one is to the daemon, and what the rules say.

use anstyle::AnsiColor;
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;
use nix::unistd::{Gid, Group, Uid, User};
use tokenkeeper_client::reply::{Explanation, Identity, RuleView};
use tokenkeeper_client::{AccountName, ExplainOn, ProviderName, SessionRef, Subject};
use tokenkeeper_protocol::json;

use crate::context::Context;
use crate::escape::plain;
use crate::failure::Failure;
use crate::table::{Cell, Table};
use crate::{complete, exit, people};

const WHOAMI_EXAMPLES: &str = "\
Examples:
  tokenkeeper whoami
  tokenkeeper whoami --json | jq -r .unit

Exit status: 0 done, 69 daemon not reachable.";

/// Show who you are to the daemon, and which rules are about you
#[derive(Debug, Args)]
#[command(after_help = WHOAMI_EXAMPLES)]
pub(crate) struct Whoami {}

impl Whoami {
    #[expect(clippy::unused_self, reason = "like every command")]
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let identity = context.connect()?.who_am_i()?;
        context.answer(describe_identity(&identity), &json::Identity::from(&identity))?;
        Ok(0)
    }
}

const POLICY_EXAMPLES: &str = "\
Examples:
  tokenkeeper policy explain token --provider corp

Exit status: 0 allowed, 77 not allowed.";

/// Look into the rules
#[derive(Debug, Args)]
#[command(after_help = POLICY_EXAMPLES)]
pub(crate) struct Policy {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    Explain(Explain),
}

impl Policy {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        match &self.command {
            PolicyCommand::Explain(explain) => explain.run(context),
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  tokenkeeper policy explain token --provider corp
  sudo tokenkeeper policy explain --as-unit backup.service token --session 7k3vq2mx
  sudo tokenkeeper policy explain --as-unit shop.service --as-user www-data login --provider corp

Exit status: 0 allowed, 77 not allowed.";

/// Say why something is allowed or not
///
/// Goes through every rule of the configuration. About yourself you may always ask; about others it takes the action \"manage\",
/// which root has unless the configuration says otherwise.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct Explain {
    /// As what runs in this system service; give --as-user too if rules about users or groups matter
    #[arg(long, value_name = "UNIT")]
    as_unit: Option<String>,

    /// As this user with all its groups, by name or number
    #[arg(long, value_name = "USER")]
    as_user: Option<String>,

    /// The action, as in `may` of a rule
    action: String,

    /// On this session, as `tokenkeeper sessions` calls it
    #[arg(long, value_name = "REF", group = "on", add = ArgValueCandidates::new(complete::sessions))]
    session: Option<SessionRef>,

    /// At this provider, whatever the session
    #[arg(long, value_name = "NAME", group = "on", add = ArgValueCandidates::new(complete::providers))]
    provider: Option<ProviderName>,

    /// On this service account
    #[arg(long, value_name = "NAME", group = "on")]
    account: Option<AccountName>,
}

impl Explain {
    fn run(&self, context: &Context) -> Result<u8, Failure> {
        let request =
            tokenkeeper_client::Explain { subject: self.subject()?, action: self.action.clone(), on: self.on() };
        let explanation = context.connect()?.explain(request)?;
        context.answer(describe(&explanation), &json::Explanation::from(&explanation))?;
        Ok(if explanation.allowed { 0 } else { exit::REFUSED })
    }

    fn subject(&self) -> Result<Option<Subject>, Failure> {
        if self.as_unit.is_none() && self.as_user.is_none() {
            return Ok(None);
        }
        let user = self.as_user.as_deref().map(people::find).transpose()?;
        let (uid, gids) = user.map_or((None, Vec::new()), |user| (Some(user.uid), user.gids));
        // As systemctl has it: a unit without a type is a service.
        let whole = |unit: &String| if unit.contains('.') { unit.clone() } else { format!("{unit}.service") };
        let unit = self.as_unit.as_ref().map(whole);
        Ok(Some(Subject { uid, gids, unit }))
    }

    fn on(&self) -> ExplainOn {
        match (self.session, &self.provider, &self.account) {
            (Some(session), ..) => ExplainOn::Session(session),
            (None, Some(provider), _) => ExplainOn::Provider(provider.clone()),
            (None, None, Some(account)) => ExplainOn::Account(account.clone()),
            (None, None, None) => ExplainOn::Daemon,
        }
    }
}

fn describe_identity(identity: &Identity) -> String {
    let mut table = Table::default();
    let name = User::from_uid(Uid::from_raw(identity.uid)).ok().flatten().map(|user| user.name);
    table.row(["user".into(), named(identity.uid, name).into()]);
    let group = |gid: &u32| {
        let name = Group::from_gid(Gid::from_raw(*gid)).ok().flatten().map(|group| group.name);
        named(*gid, name)
    };
    table.row(["groups".into(), identity.gids.iter().map(group).collect::<Vec<_>>().join(", ").into()]);
    table.row(["unit".into(), identity.unit.as_deref().map_or("none".to_owned(), plain).into()]);
    table.row(["owns".into(), format!("what {} opens", plain(&identity.owner)).into()]);
    if identity.rules.is_empty() {
        return format!("{table}\nNo rule is about you. Ask an administrator for an [[allow]].\n");
    }
    let mut rules = Table::default();
    rules.row(["RULE", "WHO", "MAY", "ON"].map(Cell::from));
    for rule in &identity.rules {
        rules.row(columns(rule));
    }
    format!("{table}\n{rules}")
}

fn describe(explanation: &Explanation) -> String {
    let style = if explanation.allowed { AnsiColor::Green } else { AnsiColor::Red }.on_default();
    let word = if explanation.allowed { "allowed" } else { "refused" };
    let mut parts = vec![format!("{style}{word}{style:#}: {}\n", plain(&explanation.verdict))];
    if !explanation.rules.is_empty() {
        let mut table = Table::default();
        table.row(["RULE", "WHO", "MAY", "ON", "OUTCOME"].map(Cell::from));
        for outcome in &explanation.rules {
            let style = if outcome.allows { AnsiColor::Green.on_default() } else { anstyle::Style::new() };
            let [source, who, may, on] = columns(&outcome.rule);
            table.row([source, who, may, on, Cell(plain(&outcome.why), style)]);
        }
        parts.push(table.to_string());
    }
    if let Some(advice) = &explanation.advice {
        let places = "/etc/tokenkeeper/conf.d (of your own daemon: ~/.config/tokenkeeper/conf.d)";
        parts.push(format!("To allow it, add this to a file in {places}, and reload:\n"));
        parts.push(advice.lines().map(|line| plain(line) + "\n").collect());
    }
    parts.join("\n")
}

fn columns(rule: &RuleView) -> [Cell; 4] {
    let sessions = plain(&rule.sessions);
    let on = match &rule.provider {
        _ if rule.sessions.starts_with("account ") => sessions,
        Some(provider) => format!("{sessions} at {provider}"),
        None => format!("{sessions} at *"),
    };
    [plain(&rule.source).into(), plain(&rule.who).into(), plain(&rule.may.join(", ")).into(), on.into()]
}

/// Such as `alice (1000)`.
fn named(number: u32, name: Option<String>) -> String {
    name.map_or_else(|| number.to_string(), |name| format!("{} ({number})", plain(&name)))
}

#[cfg(test)]
mod tests {
    use tokenkeeper_client::reply::RuleOutcome;

    use super::*;

    fn rule(sessions: &str, provider: Option<&str>) -> RuleView {
        RuleView {
            source: "corp.toml:5".to_owned(),
            who: "unit:shop.service".to_owned(),
            may: vec!["login".to_owned(), "token".to_owned()],
            provider: provider.map(|name| name.parse().unwrap()),
            sessions: sessions.to_owned(),
        }
    }

    #[test]
    fn a_refusal_shows_every_rule_and_the_one_that_is_missing() {
        let outcome = |rule, why: &str| RuleOutcome { rule, allows: false, why: why.to_owned() };
        let explanation = Explanation {
            allowed: false,
            verdict: "backup.service may not \"token\" on corp: no rule is about it".to_owned(),
            rules: vec![
                outcome(rule("own", Some("corp")), "is about another service"),
                outcome(rule("account nightly", None), "is about another service"),
            ],
            advice: Some("[[allow]]\nwho = \"unit:backup.service\"\n".to_owned()),
        };
        let text = anstream::adapter::strip_str(&describe(&explanation)).to_string();
        let expected = "\
refused: backup.service may not \"token\" on corp: no rule is about it

RULE         WHO                MAY           ON               OUTCOME
corp.toml:5  unit:shop.service  login, token  own at corp      is about another service
corp.toml:5  unit:shop.service  login, token  account nightly  is about another service

To allow it, add this to a file in /etc/tokenkeeper/conf.d (of your own daemon: ~/.config/tokenkeeper/conf.d), and reload:

[[allow]]
who = \"unit:backup.service\"
";
        assert_eq!(text, expected);
    }

    #[test]
    fn who_has_no_rule_is_told_so() {
        let identity = Identity {
            uid: 4_000_000,
            gids: vec![],
            pid: 1,
            unit: None,
            owner: "uid 4000000".to_owned(),
            rules: vec![],
        };
        let text = describe_identity(&identity);
        assert!(text.starts_with("user    4000000\n"), "{text}");
        assert!(text.contains("unit    none\n") && text.contains("No rule is about you."), "{text}");
    }
}
