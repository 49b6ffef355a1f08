//! The judgement.

use tokenkeeper_protocol::{ProviderName, UserName};

use super::weigh::{is_about, weigh};
use super::{Action, On, Reach, Rule, Rules};
use crate::domain::{Owner, Peer, Session};

/// What an action is to be done on.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// The daemon as a whole; for an action on sessions: whether there are any at all on which it may be allowed.
    Daemon,
    /// Some provider, before any session of it is known.
    Provider(&'a ProviderName),
    /// One session, which may be that of a service account.
    Session {
        /// Where it was opened.
        provider: &'a ProviderName,
        /// To whom it belongs.
        owner: &'a Owner,
        /// What its user is called there. Means nothing for a service account.
        user: &'a UserName,
    },
}

impl<'a> Target<'a> {
    /// This session.
    pub fn of(session: &'a Session) -> Self {
        Self::Session { provider: &session.provider, owner: &session.opened_by, user: &session.user.name }
    }
}

/// The proof that a rule allows something. Cannot be made anywhere else.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit is there to be used for what it allows"]
pub struct Permit {
    action: Action,
    reaches: Reaches,
    /// Who may log in, if not everybody.
    only: Option<Vec<UserName>>,
}

/// How far all rules together go that allow something: what has to be looked through to find everything they reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set of four: every combination is possible")]
pub struct Reaches {
    /// The peer's own sessions.
    pub own: bool,
    /// Those of its Unix user.
    pub user: bool,
    /// Some service accounts.
    pub accounts: bool,
    /// All there are.
    pub all: bool,
}

impl Permit {
    /// What is allowed.
    pub fn action(&self) -> Action {
        self.action
    }

    /// On whose sessions.
    pub fn reaches(&self) -> Reaches {
        self.reaches
    }

    /// Whether a login may end with this user. A peer that reaches nothing but the sessions of its Unix user opens no others.
    pub fn admits(&self, user: &UserName) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(user))
    }
}

/// No rule allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no rule allows {action}")]
pub struct Denial {
    /// What was not allowed.
    pub action: Action,
}

/// Whether `rules` let `peer` do `action` on `target`. The permit says how far all rules go that do.
pub fn judge(rules: &Rules, peer: &Peer, action: Action, target: Target<'_>) -> Result<Permit, Denial> {
    let mut reaches = None::<Reaches>;
    for rule in rules.list.iter().filter(|rule| weigh(rules, rule, peer, action, target).is_ok()) {
        reaches.get_or_insert_default().add(&rule.on);
    }
    let reaches = reaches.ok_or(Denial { action })?;
    let only = match target {
        Target::Provider(provider) if action == Action::Login && !reaches.own && !reaches.all => {
            Some(rules.users.names_of(peer.uid, Some(provider)).map(|(_, name)| name.clone()).collect())
        }
        _ => None,
    };
    Ok(Permit { action, reaches, only })
}

impl Reaches {
    fn add(&mut self, on: &On) {
        match on {
            On::Sessions { reach: Reach::Own, .. } => self.own = true,
            On::Sessions { reach: Reach::User, .. } => self.user = true,
            On::Sessions { reach: Reach::All, .. } => self.all = true,
            On::Account(_) => self.accounts = true,
        }
    }
}

/// Whether any rule is about `peer` at all.
pub fn concerns(rules: &Rules, peer: &Peer) -> bool {
    about(rules, peer).next().is_some()
}

/// The rules that are about `peer`.
pub fn about<'a>(rules: &'a Rules, peer: &'a Peer) -> impl Iterator<Item = &'a Rule> {
    rules.list.iter().filter(|rule| is_about(&rule.who, peer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Who;

    fn peer(uid: u32, unit: Option<&str>) -> Peer {
        Peer { uid, gids: vec![uid, 50], pid: 1, unit: unit.map(str::to_owned) }
    }

    fn user() -> UserName {
        "someone".parse().unwrap()
    }

    fn rule(who: Who, may: &[Action], provider: Option<&str>, reach: Reach) -> Rules {
        let provider = provider.map(|name| name.parse().unwrap());
        vec![Rule { who, may: may.to_vec(), on: On::Sessions { provider, reach }, source: String::new() }].into()
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
            judge(&rules, peer, Action::Token, Target::Session { provider: &corp, owner, user: &user() }).is_ok()
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
            judge(&rules, peer, Action::Token, Target::Session { provider: &corp, owner, user: &user() }).is_ok()
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
    fn a_permit_reaches_as_far_as_all_rules_together() {
        let corp = "corp".parse().unwrap();
        let mut rules = rule(Who::User(7), &[Action::List], Some("corp"), Reach::Own);
        rules.list.extend(rule(Who::Group(50), &[Action::List], None, Reach::All).list);
        let permit = judge(&rules, &peer(7, None), Action::List, Target::Provider(&corp)).unwrap();
        assert_eq!(permit.reaches(), Reaches { own: true, all: true, ..Reaches::default() });
    }

    #[test]
    fn the_sessions_of_a_unix_user_are_those_that_are_mapped_to_it_whoever_opened_them() {
        let (corp, other) = ("corp".parse().unwrap(), "other".parse().unwrap());
        let mut rules = rule(Who::Group(50), &[Action::Token], None, Reach::User);
        rules.users.add("corp".parse().unwrap(), 7, "alice@corp".parse().unwrap());
        let may = |uid, provider: &ProviderName, owner: &Owner, user: &str| {
            let target = Target::Session { provider, owner, user: &user.parse().unwrap() };
            judge(&rules, &peer(uid, None), Action::Token, target).is_ok()
        };
        let shop = Owner::Unit { unit: "shop.service".to_owned(), uid: 33 };
        assert!(may(7, &corp, &shop, "alice@corp"));
        assert!(!may(8, &corp, &shop, "alice@corp"), "of this user only");
        assert!(!may(7, &corp, &Owner::Uid(7), "bob@corp"), "opened by the peer, and yet somebody else's");
        assert!(!may(7, &other, &Owner::Uid(7), "alice@corp"), "a name counts at its provider only");
        let account = Owner::Account("nightly".parse().unwrap());
        assert!(!may(7, &corp, &account, "alice@corp"), "a service account has no user");
    }

    #[test]
    fn who_reaches_only_the_sessions_of_its_user_logs_in_as_nobody_else() {
        let corp = "corp".parse().unwrap();
        let mut rules = rule(Who::User(7), &[Action::Login], Some("corp"), Reach::User);
        rules.users.add("corp".parse().unwrap(), 7, "alice".parse().unwrap());
        rules.users.add("other".parse().unwrap(), 7, "bob".parse().unwrap());
        let admits = |rules: &Rules, user: &str| {
            let permit = judge(rules, &peer(7, None), Action::Login, Target::Provider(&corp)).unwrap();
            permit.admits(&user.parse().unwrap())
        };
        assert!(admits(&rules, "alice") && !admits(&rules, "bob"));
        rules.list.extend(rule(Who::User(7), &[Action::Login], None, Reach::Own).list);
        assert!(admits(&rules, "bob"), "a session of its own is any that it opens");
    }

    #[test]
    fn service_accounts_are_reached_by_their_own_rules_and_by_all_sessions_only() {
        let corp = "corp".parse().unwrap();
        let nightly = Owner::Account("nightly".parse().unwrap());
        let about =
            |on| Rules::from(vec![Rule { who: Who::User(7), may: vec![Action::Token], on, source: String::new() }]);
        let may = |on, owner: &Owner| {
            let target = Target::Session { provider: &corp, owner, user: &user() };
            judge(&about(on), &peer(7, None), Action::Token, target).is_ok()
        };
        let sessions = |reach| On::Sessions { provider: Some(corp.clone()), reach };
        assert!(may(On::Account("nightly".parse().ok()), &nightly));
        assert!(may(On::Account(None), &nightly));
        assert!(may(sessions(Reach::All), &nightly));
        assert!(!may(On::Account("daily".parse().ok()), &nightly));
        assert!(!may(sessions(Reach::Own), &nightly) && !may(sessions(Reach::User), &nightly));
        assert!(!may(On::Account(None), &Owner::Uid(7)), "sessions are none of its business");
        let elsewhere = On::Sessions { provider: "other".parse().ok(), reach: Reach::All };
        assert!(!may(elsewhere, &nightly));
        let rules = about(On::Account(None));
        assert!(judge(&rules, &peer(7, None), Action::Token, Target::Provider(&corp)).is_err());
        assert!(judge(&rules, &peer(7, None), Action::Token, Target::Daemon).unwrap().reaches().accounts);
    }

    #[test]
    fn a_rule_about_somebody_the_host_does_not_know_matches_nobody() {
        let rules = rule(Who::Unknown("user:later".to_owned()), Action::ALL, None, Reach::All);
        assert!(judge(&rules, &peer(0, None), Action::Status, Target::Daemon).is_err());
        assert!(!concerns(&rules, &peer(0, None)));
    }
}
