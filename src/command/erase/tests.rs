//! Who may erase what.

use std::sync::Arc;

use tokenkeeper_protocol::request::{Erase, EraseBegin, Erased};
use tokenkeeper_protocol::{Code, Reply, Request};

use super::super::tests::service;
use crate::command::{Answer, Service};
use crate::keeper::tests::{Home, peer};
use crate::policy::{Action, On, Reach, Rule, Who};

async fn begin(service: &Service, uid: u32, whom: Erased) -> Reply {
    let request = Request::Erase(Erase::Begin(EraseBegin { whom, forced: false, at_once: false }));
    ask(service, uid, request).await
}

async fn ask(service: &Service, uid: u32, request: Request) -> Reply {
    match service.answer(&Arc::new(peer(uid)), request).await {
        Answer::Reply(reply) => *reply,
        Answer::Encoded(encoded) => Reply::decode(encoded.0, &encoded.1).unwrap(),
    }
}

fn code(reply: &Reply) -> Option<Code> {
    if let Reply::Problem(problem) = reply { Some(problem.code) } else { None }
}

/// Lets uid 1001 do this with sessions that reach so far.
fn allow(service: &Service, reach: Reach) {
    let on = On::Sessions { provider: None, reach };
    let rule = Rule { who: Who::User(1001), may: vec![Action::Erase], on, source: String::new() };
    let mut in_force = crate::command::InForce::default();
    in_force.rules.list = vec![rule];
    in_force.rules.users.add("corp".parse().unwrap(), 1001, "alice".parse().unwrap());
    service.in_force.store(Arc::new(in_force));
}

#[tokio::test]
async fn a_user_is_erased_by_whoever_reaches_all_sessions_or_is_that_user() {
    let home = Home::with(|_| {}, |session| session.user.name = "alice".parse().unwrap()).await;
    let (service, provider) = (service(&home), home.session().provider);
    let user = |name: &str| Erased::User { provider: provider.clone(), user: name.parse().unwrap() };
    let alice = user("alice");
    let subject = Erased::Subject { provider: provider.clone(), issuer: None, subject: home.session().user.subject };

    allow(&service, Reach::Own);
    for whom in [&alice, &subject] {
        let refused = begin(&service, 1001, whom.clone()).await;
        assert_eq!(code(&refused), Some(Code::Denied), "{refused:?}");
    }
    assert_eq!(code(&begin(&service, 1001, Erased::Session(home.id)).await), Some(Code::NotFound), "somebody else's");
    assert_eq!(code(&begin(&service, 1002, alice.clone()).await), Some(Code::Denied));

    allow(&service, Reach::User);
    assert_eq!(code(&begin(&service, 1001, subject.clone()).await), Some(Code::Denied));
    assert_eq!(code(&begin(&service, 1001, user("bob")).await), Some(Code::Denied));
    let Reply::Erasure(begun) = begin(&service, 1001, alice.clone()).await else { panic!("her own") };

    allow(&service, Reach::All);
    let Reply::Erasure(joined) = begin(&service, 1001, subject).await else { panic!("anybody") };
    assert_eq!(joined.id, begun.id);
    let question = |id: &str| Request::Erase(Erase::Progress(id.to_owned()));
    assert!(matches!(ask(&service, 1001, question(&begun.id)).await, Reply::Erasure(_)));
    assert_eq!(code(&ask(&service, 1001, question("0a")).await), Some(Code::NotFound));
    assert_eq!(code(&ask(&service, 1002, question(&begun.id)).await), Some(Code::Denied));
}
