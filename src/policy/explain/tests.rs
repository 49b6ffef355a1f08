//! The explanation against the judgement, over all combinations; and its words.

use tokenkeeper_protocol::{ProviderName, UserName};

use super::*;
use crate::policy::{UserMap, judge};

fn peer(uid: u32, unit: Option<&str>) -> Peer {
    Peer { uid, gids: vec![50], pid: 1, unit: unit.map(str::to_owned) }
}

fn rule(who: &Who, may: &[Action], on: &On) -> Rule {
    Rule { who: who.clone(), may: may.to_vec(), on: on.clone(), source: "rule.toml:1".to_owned() }
}

fn unit(name: &str) -> Who {
    Who::Unit(format!("{name}.service"))
}

fn at(provider: &str, reach: Reach) -> On {
    On::Sessions { provider: provider.parse().ok(), reach }
}

/// Something of every kind, and a second one of most.
struct World {
    whos: Vec<Who>,
    ons: Vec<On>,
    peers: Vec<Peer>,
    sessions: Vec<(ProviderName, Owner, UserName)>,
    users: UserMap,
}

impl World {
    fn new() -> Self {
        let reaches = [Reach::Own, Reach::User, Reach::All];
        let sessions = |provider: &'static str| reaches.map(|reach| at(provider, reach));
        let accounts = [None, "nightly".parse().ok(), "daily".parse().ok()].map(On::Account);
        let owners = [
            Owner::Uid(7),
            Owner::Uid(8),
            Owner::Unit { unit: "shop.service".to_owned(), uid: 7 },
            Owner::Unit { unit: "shop.service".to_owned(), uid: 8 },
            Owner::Account("nightly".parse().unwrap()),
        ];
        let users = ["alice", "bob"];
        let all = ["corp", "other"].iter().flat_map(|provider| {
            let owners = owners.iter().flat_map(move |owner| users.map(|user| (owner.clone(), user)));
            owners.map(|(owner, user)| (provider.parse().unwrap(), owner, user.parse().unwrap()))
        });
        let sessions_of_all = all.collect();
        let mut map = UserMap::default();
        map.add("corp".parse().unwrap(), 7, "alice".parse().unwrap());
        Self {
            whos: vec![Who::User(7), Who::Group(50), unit("shop"), Who::Unknown("user:later".to_owned())],
            ons: sessions("corp").into_iter().chain(sessions("*")).chain(accounts).collect(),
            peers: vec![
                peer(7, None),
                peer(8, None),
                peer(7, Some("shop.service")),
                peer(8, Some("other.service")),
                Peer { gids: Vec::new(), ..peer(Peer::NO_USER, Some("shop.service")) },
            ],
            sessions: sessions_of_all,
            users: map,
        }
    }

    fn questions(&self) -> impl Iterator<Item = Question<'_>> {
        let sessions = self.sessions.iter().map(|(provider, owner, user)| Target::Session { provider, owner, user });
        let providers = self.sessions.iter().map(|(provider, ..)| Target::Provider(provider));
        let targets: Vec<_> = sessions.chain(providers).chain([Target::Daemon]).collect();
        let actions = [Action::Token, Action::Logout, Action::Manage, Action::Login, Action::Status];
        let peers = self.peers.iter().flat_map(move |peer| actions.map(|action| (peer, action)));
        peers.flat_map(move |(peer, action)| {
            targets.clone().into_iter().map(move |target| Question { peer, action, target })
        })
    }
}

#[test]
fn the_explanation_says_what_the_judgement_does_whatever_the_rules_and_the_question() {
    let world = World::new();
    let mays: [&[Action]; 3] = [&[Action::Token], &[Action::Manage, Action::Status], &[Action::Login, Action::Logout]];
    let one = |who| world.ons.iter().flat_map(move |on| mays.map(move |may| rule(who, may, on)));
    let all: Vec<_> = world.whos.iter().flat_map(one).collect();
    // Every rule alone, and every rule with the one behind it.
    let alone = all.iter().map(|rule| vec![rule.clone()]);
    let together = all.windows(2).map(<[Rule]>::to_vec);
    let (mut allowed, mut denied) = (0, 0);
    for list in alone.chain(together) {
        let rules = Rules { list, users: world.users.clone() };
        for question in world.questions() {
            let judged = judge(&rules, question.peer, question.action, question.target).is_ok();
            let explained = question.explain(&rules, "it", |_| true);
            assert_eq!(explained.allowed, judged, "{rules:?} {question:?} {explained:?}");
            assert_eq!(explained.rules.iter().any(|rule| rule.allows), judged);
            assert_eq!(explained.rules.len(), rules.list.len());
            *(if judged { &mut allowed } else { &mut denied }) += 1;
        }
    }
    assert!(allowed > 1000 && denied > 1000, "{allowed} {denied}");
}

#[test]
fn the_rule_that_is_advised_would_allow_it() {
    let world = World::new();
    for question in world.questions() {
        let rules = Rules { list: Vec::new(), users: world.users.clone() };
        let Some(advice) = question.explain(&rules, "it", |_| true).advice else {
            assert_eq!(question.action, Action::Login, "{question:?}");
            continue;
        };
        let line = |key: &str| {
            let line = advice.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")))?;
            line.split('"').nth(1).map(str::to_owned)
        };
        let who = match line("who").unwrap().split_once(':').unwrap() {
            ("unit", unit) => Who::Unit(unit.to_owned()),
            (_, uid) => Who::User(uid.parse().unwrap()),
        };
        let reach = match line("sessions").as_deref() {
            None => Reach::Own,
            Some("user") => Reach::User,
            Some(_) => Reach::All,
        };
        let provider = line("provider").filter(|name| name != "NAME").map(|name| name.parse().unwrap());
        let on = match line("account") {
            Some(account) => On::Account(account.parse().ok()),
            None => On::Sessions { provider, reach },
        };
        assert_eq!(line("may").as_deref(), Some(question.action.name()));
        let rules = Rules { list: vec![rule(&who, &[question.action], &on)], ..rules };
        assert!(judge(&rules, question.peer, question.action, question.target).is_ok(), "{question:?}: {advice}");
    }
}

#[test]
fn every_rule_says_why_it_does_not_allow_it() {
    let (corp, owner, user) = ("corp".parse().unwrap(), Owner::Uid(9), "bob".parse().unwrap());
    let shop = peer(33, Some("shop.service"));
    let target = Target::Session { provider: &corp, owner: &owner, user: &user };
    let question = Question { peer: &shop, action: Action::Token, target };
    let why = |who: &Who, may: Action, on: &On| {
        let rules = Rules::from(vec![rule(who, &[may], on)]);
        question.explain(&rules, "session x", |_| true).rules.remove(0).why
    };
    let own = &at("corp", Reach::Own);
    assert_eq!(why(&unit("other"), Action::Token, own), "is about another service");
    assert_eq!(why(&Who::User(7), Action::Token, own), "is about another user");
    assert_eq!(why(&Who::Group(7), Action::Token, own), "is about a group that it is not in");
    assert_eq!(why(&unit("shop"), Action::List, own), "does not allow \"token\"");
    assert_eq!(why(&unit("shop"), Action::Token, &at("other", Reach::All)), "is about other only");
    let not_own = "is about its own sessions, and this one is of uid 9 outside of services";
    assert_eq!(why(&unit("shop"), Action::Token, own), not_own);
    let not_mapped = "[user_map.corp] does not map its user to \"bob\"";
    assert_eq!(why(&unit("shop"), Action::Token, &at("corp", Reach::User)), not_mapped);
    assert_eq!(why(&unit("shop"), Action::Token, &On::Account(None)), "is about service accounts only");
    assert_eq!(why(&unit("shop"), Action::Token, &at("*", Reach::All)), "allows it on all sessions there");
}

#[test]
fn the_verdict_is_one_sentence_and_rules_about_others_can_be_left_out() {
    let corp = "corp".parse().unwrap();
    let backup = peer(34, Some("backup.service"));
    let question = Question { peer: &backup, action: Action::Token, target: Target::Provider(&corp) };
    let own = at("corp", Reach::Own);
    let mut rules = Rules::from(vec![rule(&unit("shop"), &[Action::Token], &own)]);
    let told = question.explain(&rules, "corp", |weighed| weighed.outcome != Err(Obstacle::OtherPeer));
    assert_eq!(told.verdict, "backup.service (uid 34) may not \"token\" on corp: no rule is about it");
    assert!(told.rules.is_empty());
    let advice = "[[allow]]\nwho = \"unit:backup.service\"\nmay = [\"token\"]\nprovider = \"corp\"\n";
    assert_eq!(told.advice.as_deref(), Some(advice));

    rules.list.push(rule(&unit("backup"), &[Action::Token], &own));
    let told = question.explain(&rules, "corp", |_| true);
    assert_eq!(told.verdict, "backup.service (uid 34) may \"token\" on corp: rule.toml:1 allows it");
    assert_eq!((told.advice, told.rules.len()), (None, 2));
}

#[test]
fn of_very_many_rules_those_that_matter_are_shown_and_the_others_counted() {
    let corp = "corp".parse().unwrap();
    let shop = peer(33, Some("shop.service"));
    let own = at("corp", Reach::Own);
    let mut list: Vec<_> =
        (0..500).map(|number| rule(&unit(&format!("{}{number}", "x".repeat(200))), Action::ALL, &own)).collect();
    list.push(rule(&unit("shop"), &[Action::List], &own));
    list.push(rule(&unit("shop"), &[Action::Token], &own));
    let question = Question { peer: &shop, action: Action::Token, target: Target::Provider(&corp) };
    let told = question.explain(&Rules::from(list), "corp", |_| true);
    assert!(
        told.verdict.ends_with("rule.toml:1 allows it (438 more rules do not fit into this answer)"),
        "{}",
        told.verdict
    );
    let about_shop: Vec<_> = told.rules[..3].iter().map(|rule| (rule.allows, rule.why.as_str())).collect();
    let expected = [
        (true, "allows it on sessions of its own"),
        (false, "does not allow \"token\""),
        (false, "is about another service"),
    ];
    assert_eq!(about_shop, expected);
    tokenkeeper_protocol::Reply::Explanation(told).encode().unwrap();
}

#[test]
fn what_is_allowed_on_some_sessions_is_not_said_to_be_allowed_on_any() {
    let alice = peer(7, None);
    let rules = |may| Rules::from(vec![rule(&Who::User(7), &[may], &at("corp", Reach::Own))]);
    let verdict = |action, may| {
        let question = Question { peer: &alice, action, target: Target::Daemon };
        question.explain(&rules(may), "any session", |_| true).verdict
    };
    let allowed = verdict(Action::Token, Action::Token);
    assert_eq!(allowed, "uid 7 may \"token\" on some sessions: rule.toml:1 allows it");
    let refused = verdict(Action::Token, Action::List);
    assert_eq!(refused, "uid 7 may not \"token\" on any session: the only rule about it does not allow this");
}
