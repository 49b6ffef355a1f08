//! Why something is allowed or not, rule by rule, and what would change it. Weighs as the judgement does, so it cannot disagree.

use tokenkeeper_protocol::reply::{Explanation, RuleOutcome, RuleView};

use super::weigh::weigh;
use super::{Action, Obstacle, On, Outcome, Reach, Rule, Rules, Target, Who};
use crate::domain::{Owner, Peer};

/// Rules that an explanation shows: more may not fit into a frame. Where there are more, those that matter come first.
const SHOWN: usize = 64;

/// Whether somebody may do something.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who.
    pub peer: &'a Peer,
    /// What.
    pub action: Action,
    /// On what.
    pub target: Target<'a>,
}

/// A rule, and how it meets a question.
#[derive(Clone, Copy, Debug)]
pub struct Weighed<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// How it came out.
    pub outcome: Outcome,
}

impl Question<'_> {
    /// How every rule meets it, in the order of the files. Some rule allows it exactly if [`judge`](super::judge) does.
    pub fn weigh<'a>(&self, rules: &'a Rules) -> impl Iterator<Item = Weighed<'a>> {
        let Self { peer, action, target } = *self;
        rules.list.iter().map(move |rule| Weighed { rule, outcome: weigh(rules, rule, peer, action, target) })
    }

    /// The answer in words. `named` is what the target is called; rules that `may_be_seen` rejects are counted and not shown.
    pub fn explain(&self, rules: &Rules, named: &str, may_be_seen: impl Fn(&Weighed<'_>) -> bool) -> Explanation {
        let weighed: Vec<_> = self.weigh(rules).collect();
        let allowing = weighed.iter().find(|weighed| weighed.outcome.is_ok());
        let about = weighed.iter().filter(|weighed| weighed.outcome != Err(Obstacle::OtherPeer)).count();
        let (who, action) = (self.peer.name(), self.action);
        let mut verdict = if let Some(Weighed { rule, .. }) = allowing {
            // On any at all: not on each.
            let on_some = matches!(self.target, Target::Daemon) && !action.is_global();
            let named = if on_some { "some sessions" } else { named };
            format!("{who} may {:?} on {named}: {} allows it", action.name(), rule.source)
        } else {
            let why = match about {
                0 => "no rule is about it".to_owned(),
                1 => "the only rule about it does not allow this".to_owned(),
                count => format!("none of the {count} rules about it allows this"),
            };
            format!("{who} may not {:?} on {named}: {why}", action.name())
        };
        let mut shown: Vec<_> = weighed.iter().filter(|weighed| may_be_seen(weighed)).collect();
        if shown.len() > SHOWN {
            let left_out = shown.len() - SHOWN;
            verdict = format!("{verdict} ({left_out} more rules do not fit into this answer)");
            shown.sort_by_key(|weighed| (weighed.outcome.is_err(), weighed.outcome == Err(Obstacle::OtherPeer)));
            shown.truncate(SHOWN);
        }
        Explanation {
            allowed: allowing.is_some(),
            verdict,
            rules: shown.into_iter().map(|weighed| self.view(weighed)).collect(),
            advice: if allowing.is_none() { self.advice(rules) } else { None },
        }
    }

    fn view(&self, weighed: &Weighed<'_>) -> RuleOutcome {
        let why = match weighed.outcome {
            Ok(()) => self.why(weighed.rule),
            Err(obstacle) => self.why_not(weighed.rule, obstacle),
        };
        RuleOutcome { rule: RuleView::from(weighed.rule), allows: weighed.outcome.is_ok(), why }
    }

    fn why(&self, rule: &Rule) -> String {
        match (&rule.on, self.target) {
            (_, Target::Daemon) if self.action.is_global() => "allows it".to_owned(),
            (_, Target::Daemon) => "allows it on some sessions".to_owned(),
            (On::Account(_), _) => "allows it on this service account".to_owned(),
            (On::Sessions { reach: Reach::All, .. }, _) => "allows it on all sessions there".to_owned(),
            (On::Sessions { reach: Reach::Own, .. }, Target::Provider(_)) => {
                "allows it on sessions of its own".to_owned()
            }
            (On::Sessions { reach: Reach::Own, .. }, Target::Session { .. }) => {
                "allows it: the session is its own".to_owned()
            }
            (On::Sessions { reach: Reach::User, .. }, Target::Provider(_)) => {
                "allows it on sessions of its user".to_owned()
            }
            (On::Sessions { reach: Reach::User, .. }, Target::Session { .. }) => {
                "allows it: the session is its user's".to_owned()
            }
        }
    }

    fn why_not(&self, rule: &Rule, obstacle: Obstacle) -> String {
        match obstacle {
            Obstacle::OtherPeer => self.why_not_about(&rule.who).to_owned(),
            Obstacle::OtherAction => format!("does not allow {:?}", self.action.name()),
            Obstacle::OtherProvider => match &rule.on {
                On::Sessions { provider: Some(provider), .. } => format!("is about {provider} only"),
                _ => "is about another provider".to_owned(),
            },
            Obstacle::AccountsOnly => "is about service accounts only".to_owned(),
            Obstacle::OtherAccount => match &rule.on {
                On::Account(Some(name)) => format!("is about the service account {name} only"),
                _ => "is about another service account".to_owned(),
            },
            Obstacle::NoAccounts => "is about sessions of users, and this is a service account".to_owned(),
            Obstacle::NotOwn => match self.target {
                Target::Session { owner, .. } => {
                    format!("is about its own sessions, and this one is of {}", whose(owner))
                }
                _ => "is about its own sessions".to_owned(),
            },
            Obstacle::NotMapped => match self.target {
                Target::Session { provider, user, .. } => {
                    format!("[user_map.{provider}] does not map its user to {:?}", user.as_str())
                }
                _ => "[user_map] does not map its user".to_owned(),
            },
        }
    }

    fn why_not_about(&self, who: &Who) -> &'static str {
        match who {
            Who::User(_) | Who::Group(_) if self.peer.uid == Peer::NO_USER => {
                "is about users, and none was named (--as-user)"
            }
            Who::User(_) => "is about another user",
            Who::Group(_) => "is about a group that it is not in",
            Who::Unit(_) if self.peer.unit.is_none() => "is about a service, and it runs in none",
            Who::Unit(_) => "is about another service",
            Who::Unknown(_) => {
                "names somebody this host did not know when the configuration was read; reload once it does"
            }
        }
    }

    /// The narrowest rule that would allow it; none where no rule can.
    fn advice(&self, rules: &Rules) -> Option<String> {
        let who = match &self.peer.unit {
            Some(unit) => Who::Unit(unit.clone()),
            None => Who::User(self.peer.uid),
        };
        let on = match self.target {
            Target::Daemon if self.action.is_global() => None,
            Target::Daemon => Some("provider = \"NAME\"".to_owned()),
            Target::Provider(provider) => Some(format!("provider = \"{provider}\"")),
            Target::Session { owner: Owner::Account(_), .. } if self.action == Action::Login => return None,
            Target::Session { owner: Owner::Account(name), .. } => Some(format!("account = \"{name}\"")),
            Target::Session { provider, .. } => {
                let reach = self.narrowest_reach(rules, &who);
                let sessions = match reach {
                    Reach::Own => String::new(),
                    Reach::User => "\nsessions = \"user\"".to_owned(),
                    Reach::All => {
                        format!("\nsessions = \"all\"                     # everybody's sessions at {provider}")
                    }
                };
                Some(format!("provider = \"{provider}\"{sessions}"))
            }
        };
        let on = on.map(|on| format!("\n{on}")).unwrap_or_default();
        Some(format!("[[allow]]\nwho = \"{who}\"\nmay = [\"{}\"]{on}\n", self.action.name()))
    }

    fn narrowest_reach(&self, rules: &Rules, who: &Who) -> Reach {
        let would_do = |reach: &Reach| {
            let on = On::Sessions { provider: None, reach: *reach };
            let rule = Rule { who: who.clone(), may: vec![self.action], on, source: String::new() };
            weigh(rules, &rule, self.peer, self.action, self.target).is_ok()
        };
        [Reach::Own, Reach::User].into_iter().find(would_do).unwrap_or(Reach::All)
    }
}

fn whose(owner: &Owner) -> String {
    match owner {
        Owner::Uid(uid) => format!("uid {uid} outside of services"),
        Owner::Unit { unit, uid } => format!("{unit} (uid {uid})"),
        Owner::Account(name) => format!("the service account {name}"),
    }
}

impl From<&Rule> for RuleView {
    fn from(rule: &Rule) -> Self {
        let (provider, sessions) = match &rule.on {
            On::Sessions { provider, reach } => (provider.clone(), reach.name().to_owned()),
            On::Account(name) => {
                (None, format!("account {}", name.as_ref().map_or("*", tokenkeeper_protocol::AccountName::as_str)))
            }
        };
        let may = rule.may.iter().map(|action| action.name().to_owned()).collect();
        Self { source: rule.source.clone(), who: rule.who.to_string(), may, provider, sessions }
    }
}

#[cfg(test)]
mod tests;
