//! Requests for the tokens of service accounts.

use std::sync::Arc;

use serde_json::json;
use tokenkeeper_protocol::request::{Holder, TokenFor};
use tokenkeeper_protocol::{Code, Reply, Request};

use super::tests::service;
use super::{Answer, Service};
use crate::config::AccountSettings;
use crate::keeper::AccountsConfigured;
use crate::keeper::tests::{Home, peer};
use crate::provider::scripted;

fn request(scope: Option<String>) -> Request {
    let of = Holder::Account("nightly".parse().unwrap());
    Request::TokenFor(TokenFor { of, min_valid_seconds: None, timeout_ms: None, scope, resource: None })
}

async fn with_account(home: &Home) -> Service {
    let (name, provider) = ("nightly".parse().unwrap(), "corp".parse().unwrap());
    let settings = AccountSettings { name, provider, scopes: vec!["reports".to_owned()], resource: Vec::new() };
    home.keeper.keep_accounts(AccountsConfigured::from([(settings.name.clone(), Arc::new(settings))])).await;
    let granted = json!({"access_token": "at-1", "expires_in": 300});
    home.server.script("/token", scripted::Reply::json(200, &granted));
    service(home)
}

fn decoded(answer: Answer) -> Reply {
    let encoded = answer.encoded();
    Reply::decode(encoded.0, &encoded.1).unwrap()
}

#[tokio::test]
async fn an_account_without_a_token_is_given_one_and_from_then_on_served_at_once() {
    let home = Home::new().await;
    let (service, alice) = (with_account(&home).await, Arc::new(peer(1000)));
    assert!(service.answer_at_once(&alice, &request(None)).is_none(), "there is no token yet");
    let first = decoded(service.answer(&alice, request(None)).await);
    assert!(matches!(&first, Reply::Token(token) if token.access_token.expose() == "at-1"), "{first:?}");
    for scope in [None, Some("reports".to_owned())] {
        let answer = service.answer_at_once(&alice, &request(scope)).expect("an answer from memory");
        assert_eq!(decoded(answer), first);
    }
    assert_eq!(home.posts(), 1);
}

#[tokio::test]
async fn what_a_token_is_not_good_for_is_said_in_words_that_fit_into_a_frame() {
    let home = Home::new().await;
    let (service, alice) = (with_account(&home).await, Arc::new(peer(1000)));
    for (scope, said) in [("mail".to_owned(), "has no scope \"mail\""), ("x".repeat(60_000), "scope is too long")] {
        let request = request(Some(scope));
        assert!(service.answer_at_once(&alice, &request).is_none());
        let Reply::Problem(problem) = decoded(service.answer(&alice, request).await) else { panic!("no problem") };
        assert_eq!(problem.code, Code::BadRequest);
        assert!(problem.message.contains(said), "{}", problem.message);
    }
}
