//! Who may do what with the keys, and what a service without keys answers.

use std::sync::Arc;

use tokenkeeper_protocol::request::{Explain, ExplainOn, KeysRecover};
use tokenkeeper_protocol::{Code, Reply, Request, Secret};

use super::super::tests::{service, token_request};
use crate::command::{Answer, Lock};
use crate::keeper::tests::{Home, peer};
use crate::seal::{KeepKeyring, KeptError, Keyring};
use crate::vault::Rotation;

/// Rotates the keyring of a home, which is kept nowhere.
pub(in crate::command) fn rotation(home: &Home) -> Rotation {
    struct Nowhere;
    impl KeepKeyring for Nowhere {
        fn keep(&self, _keyring: &Keyring) -> Result<(), KeptError> {
            Ok(())
        }
        fn set_recovery(&self, _keyring: &Keyring, _recovery: &[String]) -> Result<(), KeptError> {
            Ok(())
        }
        fn recovery(&self) -> Vec<String> {
            vec!["age1recovery".to_owned()]
        }
    }
    Rotation::new(Arc::clone(&home.vault), Arc::new(Nowhere), home.clock.clone(), 1)
}

async fn ask(service: &crate::command::Service, uid: u32, request: Request) -> Reply {
    match service.answer(&Arc::new(peer(uid)), request).await {
        Answer::Reply(reply) => *reply,
        Answer::Encoded(encoded) => Reply::decode(encoded.0, &encoded.1).unwrap(),
    }
}

fn code(reply: &Reply) -> Option<Code> {
    if let Reply::Problem(problem) = reply { Some(problem.code) } else { None }
}

fn recover() -> Request {
    Request::KeysRecover(KeysRecover { identity: Secret::from("AGE-SECRET-KEY-1") })
}

#[tokio::test]
async fn the_keys_are_shown_and_rotated_for_who_may() {
    let home = Home::new().await;
    let service = service(&home);
    let Reply::Keys(keys) = ask(&service, 1000, Request::KeysShow).await else { panic!("no keys") };
    assert_eq!((keys.epoch, keys.old_epochs, keys.rotation), (1, vec![], None));
    assert_eq!(keys.recovery_recipients, ["age1recovery"]);
    for request in [Request::KeysShow, Request::KeysRotate, recover()] {
        assert_eq!(code(&ask(&service, 7, request).await), Some(Code::Denied));
    }
    assert_eq!(ask(&service, 1000, Request::KeysRotate).await, Reply::KeysRotating(2));
    assert_eq!(code(&ask(&service, 1000, Request::KeysRotate).await), Some(Code::TryLater));
    let Reply::Keys(keys) = ask(&service, 1000, Request::KeysShow).await else { panic!("no keys") };
    assert_eq!((keys.epoch, keys.old_epochs, keys.rotation.is_some()), (2, vec![1], true));
}

#[tokio::test]
async fn a_rule_does_not_make_somebody_one_who_may_bring_an_identity() {
    let home = Home::new().await;
    let reply = ask(&service(&home), 1000, recover()).await;
    let expected = if nix::unistd::geteuid().as_raw() == 1000 { Code::BadRequest } else { Code::Denied };
    assert_eq!(code(&reply), Some(expected), "{reply:?}");
}

#[tokio::test]
async fn a_service_without_keys_tells_why_and_answers_nothing_else() {
    let home = Home::new().await;
    let (lock, _attempts) = Lock::new("the TPM has changed".to_owned());
    let locked = crate::command::Service { lock: Some(lock), ..service(&home) };
    let Reply::Status(status) = ask(&locked, 1000, Request::Status).await else { panic!("no status") };
    assert_eq!(status.health, tokenkeeper_protocol::reply::Health::NotServing);
    let complaint = &status.complaints[0];
    assert!(complaint.contains("the TPM has changed") && complaint.contains("tokenkeeper keys recover"), "{complaint}");
    assert!(locked.ready().is_err());
    assert!(matches!(ask(&locked, 1000, Request::WhoAmI).await, Reply::Identity(_)));
    let explain = |on| Request::Explain(Explain { subject: None, action: "token".to_owned(), on });
    assert!(matches!(ask(&locked, 1000, explain(ExplainOn::Daemon)).await, Reply::Explanation(_)));
    let refused = [
        token_request(home.id),
        Request::Session(home.id),
        Request::Logout(home.id),
        explain(ExplainOn::Session(home.id)),
    ];
    for request in refused.into_iter().chain([Request::KeysShow, Request::KeysRotate, Request::Providers]) {
        let reply = ask(&locked, 1000, request).await;
        assert_eq!(code(&reply), Some(Code::Misconfigured), "{reply:?}");
    }
}
