//! The table of routes against its description, and peers that stall, by a clock that does not wait.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::DOCUMENT;
use super::route::ROUTES;
use super::run;
use crate::command::tests::service;
use crate::keeper::tests::{Home, peer};

/// The client's end of a connection that is served.
fn connect(home: &Home) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    tasks.spawn(run(theirs, Arc::new(peer(1000)), Arc::new(service(home)), tasks.clone(), stop));
    ours
}

async fn rest(stream: &mut UnixStream) -> String {
    let mut said = String::new();
    // A peer that is left with unread bytes sees a reset instead of an end.
    let _ = stream.read_to_string(&mut said).await;
    said
}

#[test]
fn the_table_of_routes_is_the_one_of_the_document() {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let documented: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let answered = ROUTES.iter().map(|route| (route.method.to_string(), route.path.to_owned()));
    assert_eq!(documented, answered.collect::<BTreeSet<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_not_waited_for() {
    let home = Home::new().await;
    let mut stream = connect(&home);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost").await.unwrap();
    assert!(!rest(&mut stream).await.contains("200"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_not_waited_for() {
    let home = Home::new().await;
    let mut stream = connect(&home);
    let head = b"POST /v1/logins HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    stream.write_all(head).await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("connection: close"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_its_answers_is_left() {
    let home = Home::new().await;
    let mut stream = connect(&home);
    let requests = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    let mut taken = 0;
    while let Ok(count) = stream.write(requests.as_bytes()).await {
        taken += count;
    }
    assert!(taken < 2 * 1024 * 1024, "{taken} bytes of requests were taken, and their answers kept");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_idle_for_as_long_as_clients_keep_one_is_kept() {
    let home = Home::new().await;
    let mut stream = connect(&home);
    for _ in 0..3 {
        tokio::time::sleep(std::time::Duration::from_secs(90)).await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        let mut more = [0; 4096];
        assert!(stream.read(&mut more).await.unwrap() > 0);
    }
}
