//! Who a peer is to the daemon.

use serde::Serialize;

use crate::{ProviderName, reply};

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

/// View of a [`reply::RuleView`].
#[derive(Serialize)]
pub struct Rule<'a> {
    source: &'a str,
    who: &'a str,
    may: &'a [String],
    provider: Option<&'a str>,
    sessions: &'a str,
}

impl<'a> From<&'a reply::RuleView> for Rule<'a> {
    fn from(rule: &'a reply::RuleView) -> Self {
        Self {
            source: &rule.source,
            who: &rule.who,
            may: &rule.may,
            provider: rule.provider.as_ref().map(ProviderName::as_str),
            sessions: &rule.sessions,
        }
    }
}
