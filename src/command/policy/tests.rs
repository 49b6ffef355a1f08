//! Who is told what about the rules.

use std::sync::Arc;

use tokenkeeper_protocol::request::{Explain, ExplainOn, Subject};
use tokenkeeper_protocol::{Code, Reply, Request, SessionRef};

use crate::command::InForce;
use crate::command::tests::{ask, service, token, token_request};
use crate::domain::Peer;
use crate::keeper::tests::{Home, at, peer};
use crate::policy::Who;

fn explain(subject: Option<Subject>, on: ExplainOn) -> Request {
    Request::Explain(Explain { subject, action: "token".to_owned(), on })
}

#[tokio::test]
async fn an_explanation_about_oneself_tells_no_more_than_trying_would() {
    let home = Home::new().await;
    let service = service(&home);
    let none = SessionRef::from_random([9; 5]);
    for uid in [7, 1001] {
        let peer = Arc::new(peer(uid));
        let mut told = Vec::new();
        for id in [home.id, none] {
            let tried = ask(&service, &peer, token_request(id)).await;
            let explained = ask(&service, &peer, explain(None, ExplainOn::Session(id))).await;
            for answer in [tried, explained] {
                let Reply::Problem(mut problem) = answer else { panic!("{answer:?}") };
                problem.message = problem.message.replace(id.as_str(), "REF");
                problem.audit_reference = None;
                told.push(problem);
            }
        }
        assert!(told.iter().all(|problem| *problem == told[0]), "{told:?}");
    }
    // A provider that is there and one that is not.
    let stranger = Arc::new(peer(7));
    let mut told = Vec::new();
    for name in [home.session().provider.as_str(), "nowhere"] {
        let on = ExplainOn::Provider(name.parse().unwrap());
        let Reply::Explanation(explained) = ask(&service, &stranger, explain(None, on)).await else { panic!() };
        assert!(!explained.allowed && explained.rules.is_empty(), "rules about others are not shown: {explained:?}");
        told.push(format!("{explained:?}").replace(name, "NAME"));
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
async fn what_others_may_do_is_told_to_those_who_look_after_the_host() {
    let home = Home::new().await;
    let service = service(&home);
    let subject = Some(Subject { uid: Some(1001), gids: vec![], unit: None });
    let on = || ExplainOn::Session(home.id);
    let Reply::Explanation(told) = ask(&service, &Arc::new(peer(1000)), explain(subject.clone(), on())).await else {
        panic!()
    };
    assert!(!told.allowed);
    assert_eq!(told.rules.len(), 2, "all rules: {told:?}");
    assert!(told.advice.unwrap().contains("who = \"user:1001\""));

    for asker in [7, 1001] {
        let asker = Arc::new(peer(asker));
        let answer = ask(&service, &asker, explain(subject.clone(), on())).await;
        let Reply::Problem(problem) = answer else { panic!("{answer:?}") };
        assert!([Code::Denied, Code::NotFound].contains(&problem.code), "{problem:?}");
    }
    let denied = ask(&service, &Arc::new(peer(7)), explain(subject, ExplainOn::Daemon)).await;
    let Reply::Problem(problem) = denied else { panic!("{denied:?}") };
    assert_eq!((problem.code, problem.audit_reference.is_some()), (Code::Denied, true));
    for wrong in [None, Some(65534), Some(u32::MAX)] {
        let subject = Some(Subject { uid: wrong, gids: vec![], unit: None });
        let answer = ask(&service, &Arc::new(peer(1000)), explain(subject, ExplainOn::Daemon)).await;
        assert!(matches!(&answer, Reply::Problem(problem) if problem.code == Code::BadRequest), "{answer:?}");
    }
}

#[tokio::test]
async fn everybody_may_ask_who_they_are_and_sees_the_rules_about_them_alone() {
    let home = Home::new().await;
    let service = service(&home);
    for (uid, rules) in [(7, 0), (1001, 1)] {
        let Reply::Identity(me) = ask(&service, &Arc::new(peer(uid)), Request::WhoAmI).await else { panic!() };
        assert_eq!((me.uid, me.rules.len()), (uid, rules));
        assert_eq!(me.owner, format!("uid {uid}"));
        assert!(me.rules.iter().all(|rule| rule.who == format!("user:{uid}")));
    }
}

#[tokio::test]
async fn a_refusal_names_the_command_that_explains_it() {
    let home = Home::new().await;
    let service = service(&home);
    let refused = token(&service, &Arc::new(peer(7)), token_request(home.id)).await.unwrap_err();
    let command = format!("sudo tokenkeeper policy explain --as-user 7 token --session {}", home.id);
    assert!(refused.message.ends_with(&command), "{}", refused.message);
    let backup = Arc::new(Peer { unit: Some("backup.service".to_owned()), ..peer(34) });
    let refused = token(&service, &backup, token_request(home.id)).await.unwrap_err();
    let start = "backup.service (uid 34) has no rule for \"token\" on this session, or it does not exist. ";
    assert!(refused.message.starts_with(start), "{}", refused.message);
    assert!(refused.message.contains("--as-unit backup.service token --session "), "{}", refused.message);
}

#[tokio::test]
async fn a_host_that_cannot_tell_units_is_complained_of_where_a_rule_needs_them() {
    let home = Home::new().await;
    let mut service = service(&home);
    service.vitals.why_no_units = Some("the kernel is too old");
    let complaints = async |service: &crate::command::Service| {
        let Reply::Status(status) = ask(service, &Arc::new(peer(1000)), Request::Status).await else { panic!() };
        status.complaints.into_iter().filter(|complaint| complaint.contains("units")).collect::<Vec<_>>()
    };
    assert!(complaints(&service).await.is_empty());
    let mut rules = service.in_force.load().rules.clone();
    rules.list[1].who = Who::Unit("shop.service".to_owned());
    service.in_force.store(Arc::new(InForce { rules, backup_recipients: Vec::new(), loaded_at: at(0) }));
    assert_eq!(complaints(&service).await, ["rules about units match nobody: the kernel is too old"]);
}
