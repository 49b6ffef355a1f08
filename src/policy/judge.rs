//! The judgement.

use tokenkeeper_protocol::ProviderName;

use super::{Action, Reach, Rule, Rules, Who};
use crate::domain::{Owner, Peer};

/// What an action is to be done on.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// The daemon as a whole.
    Daemon,
    /// Some provider, before any session of it is known.
    Provider(&'a ProviderName),
    /// One session.
    Session {
        /// Where it was opened.
        provider: &'a ProviderName,
        /// To whom it belongs.
        owner: &'a Owner,
    },
}

/// The proof that a rule allows something. Cannot be made anywhere else.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit is there to be used for what it allows"]
pub struct Permit {
    action: Action,
    reach: Reach,
}

impl Permit {
    /// What is allowed.
    pub fn action(&self) -> Action {
        self.action
    }

    /// On whose sessions.
    pub fn reach(&self) -> Reach {
        self.reach
    }
}

/// No rule allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no rule allows {action}")]
pub struct Denial {
    /// What was not allowed.
    pub action: Action,
}

/// Whether `rules` let `peer` do `action` on `target`. The permit carries the widest reach that any rule gives.
pub fn judge(rules: &Rules, peer: &Peer, action: Action, target: Target<'_>) -> Result<Permit, Denial> {
    let allowing = rules.0.iter().filter(|rule| rule.may.contains(&action) && is_about(&rule.who, peer));
    let reaching = allowing.filter(|rule| reaches(rule, peer, target));
    let widest = reaching.map(|rule| rule.reach).reduce(|a, b| if a == Reach::All { a } else { b });
    widest.map(|reach| Permit { action, reach }).ok_or(Denial { action })
}

/// Whether any rule is about `peer` at all.
pub fn concerns(rules: &Rules, peer: &Peer) -> bool {
    rules.0.iter().any(|rule| is_about(&rule.who, peer))
}

fn is_about(who: &Who, peer: &Peer) -> bool {
    match who {
        Who::User(uid) => peer.uid == *uid,
        Who::Group(gid) => peer.gids.contains(gid),
        Who::Unit(unit) => peer.unit.as_ref() == Some(unit),
    }
}

fn reaches(rule: &Rule, peer: &Peer, target: Target<'_>) -> bool {
    let at = |provider: &ProviderName| rule.provider.as_ref().is_none_or(|only| only == provider);
    match target {
        Target::Daemon => true,
        Target::Provider(provider) => at(provider),
        Target::Session { provider, owner } => {
            at(provider) && (rule.reach == Reach::All || owns(&rule.who, peer, owner))
        }
    }
}

/// A rule about a unit takes all of the unit together, whichever users it runs as. One about users never mixes them.
fn owns(who: &Who, peer: &Peer, owner: &Owner) -> bool {
    match who {
        Who::Unit(_) => peer.is_of_unit_of(owner),
        Who::User(_) | Who::Group(_) => peer.is(owner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uid: u32, unit: Option<&str>) -> Peer {
        Peer { uid, gids: vec![uid, 50], pid: 1, unit: unit.map(str::to_owned) }
    }

    fn rule(who: Who, may: &[Action], provider: Option<&str>, reach: Reach) -> Rules {
        let provider = provider.map(|name| name.parse().unwrap());
        Rules(vec![Rule { who, may: may.to_vec(), provider, reach, source: String::new() }])
    }

    #[test]
    fn without_a_rule_nobody_may_anything_not_even_root() {
        for action in Action::ALL {
            assert_eq!(
                judge(&Rules::default(), &peer(0, None), *action, Target::Daemon),
                Err(Denial { action: *action })
            );
        }
    }

    #[test]
    fn own_means_the_unit_for_services_and_the_user_for_people() {
        let corp = "corp".parse().unwrap();
        let rules = rule(Who::User(7), &[Action::Token], Some("corp"), Reach::Own);
        let may = |peer: &Peer, owner: &Owner| {
            judge(&rules, peer, Action::Token, Target::Session { provider: &corp, owner }).is_ok()
        };
        let shop = Owner::Unit { unit: "shop.service".to_owned(), uid: 7 };
        assert!(may(&peer(7, None), &Owner::Uid(7)));
        assert!(may(&peer(7, Some("shop.service")), &shop));
        assert!(!may(&peer(7, None), &Owner::Uid(8)));
        assert!(!may(&peer(7, None), &shop));
        assert!(!may(&peer(8, None), &Owner::Uid(8)));
    }

    #[test]
    fn users_who_share_a_service_share_sessions_only_by_a_rule_about_the_service() {
        let corp = "corp".parse().unwrap();
        let may = |who, peer: &Peer, owner: &Owner| {
            let rules = rule(who, &[Action::Token], None, Reach::Own);
            judge(&rules, peer, Action::Token, Target::Session { provider: &corp, owner }).is_ok()
        };
        let (alice, bob) = (peer(7, Some("cron.service")), peer(8, Some("cron.service")));
        assert!(may(Who::Group(50), &alice, &alice.owner()));
        assert!(!may(Who::Group(50), &bob, &alice.owner()));
        assert!(!may(Who::User(8), &bob, &alice.owner()));
        assert!(may(Who::Unit("cron.service".to_owned()), &bob, &alice.owner()));
        assert!(!may(Who::Unit("cron.service".to_owned()), &bob, &Owner::Uid(8)));
    }

    #[test]
    fn a_rule_is_about_its_provider_its_actions_and_its_people_only() {
        let (corp, other) = ("corp".parse().unwrap(), "other".parse().unwrap());
        let rules = rule(Who::Group(50), &[Action::List], Some("corp"), Reach::All);
        assert!(judge(&rules, &peer(7, None), Action::List, Target::Provider(&corp)).is_ok());
        assert!(judge(&rules, &peer(7, None), Action::List, Target::Provider(&other)).is_err());
        assert!(judge(&rules, &peer(7, None), Action::Token, Target::Provider(&corp)).is_err());
        let stranger = Peer { gids: vec![], ..peer(7, None) };
        assert!(judge(&rules, &stranger, Action::List, Target::Provider(&corp)).is_err());
        assert!(concerns(&rules, &peer(7, None)) && !concerns(&rules, &stranger));
    }

    #[test]
    fn a_unit_is_matched_by_its_whole_name() {
        let rules = rule(Who::Unit("shop.service".to_owned()), &[Action::Status], None, Reach::Own);
        assert!(judge(&rules, &peer(7, Some("shop.service")), Action::Status, Target::Daemon).is_ok());
        assert!(judge(&rules, &peer(7, Some("workshop.service")), Action::Status, Target::Daemon).is_err());
        assert!(judge(&rules, &peer(7, None), Action::Status, Target::Daemon).is_err());
    }

    #[test]
    fn the_widest_of_several_rules_counts() {
        let corp = "corp".parse().unwrap();
        let mut rules = rule(Who::User(7), &[Action::List], Some("corp"), Reach::Own);
        rules.0.extend(rule(Who::Group(50), &[Action::List], None, Reach::All).0);
        let permit = judge(&rules, &peer(7, None), Action::List, Target::Provider(&corp)).unwrap();
        assert_eq!(permit.reach(), Reach::All);
    }
}
