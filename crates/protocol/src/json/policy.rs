//! Peers, rules, and why they allow something or not.

use serde::Serialize;

use crate::reply;

/// View of a [`reply::Identity`].
#[derive(Serialize)]
pub struct Identity<'a> {
    uid: u32,
    gids: &'a [u32],
    pid: i32,
    unit: Option<&'a str>,
    owner: &'a str,
    rules: Vec<Rule<'a>>,
}

impl<'a> From<&'a reply::Identity> for Identity<'a> {
    fn from(identity: &'a reply::Identity) -> Self {
        Self {
            uid: identity.uid,
            gids: &identity.gids,
            pid: identity.pid,
            unit: identity.unit.as_deref(),
            owner: &identity.owner,
            rules: identity.rules.iter().map(Rule::from).collect(),
        }
    }
}

/// View of a [`reply::RuleView`]: it has `sessions`, and maybe a `provider`, or else an `account`.
#[derive(Serialize)]
pub struct Rule<'a> {
    source: &'a str,
    who: &'a str,
    may: &'a [String],
    provider: Option<&'a str>,
    sessions: Option<&'a str>,
    account: Option<&'a str>,
}

impl<'a> From<&'a reply::RuleView> for Rule<'a> {
    fn from(rule: &'a reply::RuleView) -> Self {
        let account = rule.sessions.strip_prefix("account ");
        Self {
            source: &rule.source,
            who: &rule.who,
            may: &rule.may,
            provider: rule.provider.as_ref().map(crate::ProviderName::as_str),
            sessions: account.is_none().then_some(&rule.sessions),
            account,
        }
    }
}

/// View of a [`reply::Explanation`].
#[derive(Serialize)]
pub struct Explanation<'a> {
    allowed: bool,
    verdict: &'a str,
    rules: Vec<RuleOutcome<'a>>,
    advice: Option<&'a str>,
}

impl<'a> From<&'a reply::Explanation> for Explanation<'a> {
    fn from(explanation: &'a reply::Explanation) -> Self {
        Self {
            allowed: explanation.allowed,
            verdict: &explanation.verdict,
            rules: explanation.rules.iter().map(RuleOutcome::from).collect(),
            advice: explanation.advice.as_deref(),
        }
    }
}

/// View of a [`reply::RuleOutcome`]: the keys of [`Rule`], and more.
#[derive(Serialize)]
pub struct RuleOutcome<'a> {
    #[serde(flatten)]
    rule: Rule<'a>,
    allows: bool,
    why: &'a str,
}

impl<'a> From<&'a reply::RuleOutcome> for RuleOutcome<'a> {
    fn from(outcome: &'a reply::RuleOutcome) -> Self {
        Self { rule: Rule::from(&outcome.rule), allows: outcome.allows, why: &outcome.why }
    }
}
