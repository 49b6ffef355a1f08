//! The tokio client: many requests on one connection, and what happens to them when something ends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use common::{Server, asking, nowhere, reply_bytes, token_for};
use tokenkeeper_client::{Client, Error, ProtocolError, Version};
use tokenkeeper_protocol::Request;
use tokenkeeper_protocol::frame::Header;

#[tokio::test]
async fn replies_find_their_callers_in_whatever_order_they_come() {
    let server = Server::start(|connection| {
        let mut connection = connection.greet();
        let mut requests: Vec<(u64, Request)> = (0..100).map(|_| connection.request()).collect();
        requests.reverse();
        for (id, request) in &requests {
            connection.reply(*id, &token_for(request));
        }
    });
    let client = Client::connect(&server.path()).await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..100 {
        let client = client.clone();
        calls.spawn(async move {
            let provider = format!("p{number}");
            assert_eq!(client.token(asking(&provider)).await.unwrap().access_token.expose(), provider);
        });
    }
    assert_eq!(calls.join_all().await.len(), 100);
    server.finish();
}

#[tokio::test]
async fn a_dropped_call_leaves_the_others_alone() {
    let (seen, was_seen) = tokio::sync::oneshot::channel();
    let server = Server::start(|connection| {
        let mut connection = connection.greet();
        let (dropped, request) = connection.request();
        seen.send(()).unwrap();
        let (id, next) = connection.request();
        connection.reply(dropped, &token_for(&request));
        connection.reply(id, &token_for(&next));
    });
    let client = Client::connect(&server.path()).await.unwrap();
    tokio::select! {
        _ = client.token(asking("dropped")) => panic!("nobody answers it"),
        seen = was_seen => seen.unwrap(),
    }
    assert_eq!(client.token(asking("next")).await.unwrap().access_token.expose(), "next");
    server.finish();
}

#[tokio::test]
async fn a_call_that_takes_too_long_ends_and_the_connection_goes_on() {
    let server = Server::start(|connection| {
        let mut connection = connection.greet();
        connection.request();
        let (id, request) = connection.request();
        connection.reply(id, &token_for(&request));
    });
    let client = Client::connect_within(&server.path(), Duration::from_millis(300)).await.unwrap();
    assert!(matches!(client.token(asking("slow")).await, Err(Error::TimedOut)));
    assert!(client.token(asking("quick")).await.is_ok());
    server.finish();
}

#[tokio::test]
async fn everyone_who_waits_is_told_when_the_daemon_hangs_up_in_the_middle_of_a_frame() {
    let server = Server::start(|connection| {
        let mut connection = connection.greet();
        let (id, request) = connection.request();
        connection.request();
        connection.write(&reply_bytes(id, &token_for(&request))[..20]);
    });
    let client = Client::connect(&server.path()).await.unwrap();
    let (one, two) = tokio::join!(client.token(asking("one")), client.token(asking("two")));
    assert!(matches!(one, Err(Error::Disconnected)), "{one:?}");
    assert!(matches!(two, Err(Error::Disconnected)), "{two:?}");
    assert!(matches!(client.status().await, Err(Error::Disconnected)), "it stays so");
    server.finish();
}

#[tokio::test]
async fn a_daemon_of_another_major_version_is_named_even_if_it_hangs_up_at_once() {
    let server = Server::start(|mut connection| connection.write(&Version { major: 2, minor: 0 }.hello()));
    let client = Client::connect(&server.path()).await.unwrap();
    let result = client.status().await;
    assert!(matches!(result, Err(Error::WrongVersion { daemon: Version { major: 2, .. } })), "{result:?}");
    server.finish();
}

#[tokio::test]
async fn a_frame_longer_than_allowed_is_refused_before_it_is_read() {
    let server = Server::start(|connection| {
        let mut connection = connection.greet();
        let (id, _) = connection.request();
        connection.write(&Header { length: u32::MAX, kind: 0x8001, flags: 0, id }.to_bytes());
        connection.wait_for_end();
    });
    let client = Client::connect(&server.path()).await.unwrap();
    let result = client.token(asking("corp")).await;
    assert!(matches!(result, Err(Error::Protocol(ProtocolError::FrameTooLong(_)))), "{result:?}");
    drop(client);
    server.finish();
}

#[tokio::test]
async fn the_connection_closes_with_the_last_clone() {
    let server = Server::start(|connection| {
        let mut connection = connection.greet();
        let (id, request) = connection.request();
        connection.reply(id, &token_for(&request));
        connection.wait_for_end();
    });
    let client = Client::connect(&server.path()).await.unwrap();
    drop(client.clone());
    assert!(client.token(asking("corp")).await.is_ok());
    drop(client);
    tokio::task::spawn_blocking(|| server.finish()).await.unwrap();
}

#[tokio::test]
async fn requests_that_the_socket_does_not_take_at_once_are_sent_in_order_by_and_by() {
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let server = Server::start(move |connection| {
        let mut connection = connection.greet();
        gate.recv().unwrap();
        for expected in 1..=200 {
            let (id, _) = connection.request();
            assert_eq!(id, expected);
            connection.reply(id, &token_for(&Request::Token(asking("corp"))));
        }
    });
    let client = Client::connect(&server.path()).await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let client = client.clone();
        calls.spawn(async move {
            // Far more, all in all, than a socket holds.
            let begin = tokenkeeper_client::LoginBegin {
                provider: "corp".parse().unwrap(),
                redirect_uri: "x".repeat(10_000),
                scopes: vec![],
                login_hint: None,
                device: None,
                acr_values: vec![],
                replaces: None,
            };
            assert!(matches!(client.login_begin(begin).await, Err(Error::Protocol(ProtocolError::UnexpectedReply))));
        });
    }
    tokio::task::yield_now().await;
    go.send(()).unwrap();
    assert_eq!(calls.join_all().await.len(), 200);
    server.finish();
}

#[tokio::test]
async fn where_nobody_listens_the_error_says_what_to_look_at() {
    let Err(error) = Client::connect(nowhere()).await else { panic!("nobody listens") };
    assert!(error.to_string().contains("systemctl status tokenkeeperd"), "{error}");
}
