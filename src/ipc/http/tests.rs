//! The table of routes against its description, and peers that stall, by a clock that does not wait.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::DOCUMENT;
use super::route::ROUTES;
use super::{metrics, run};
use crate::command::tests::service;
use crate::keeper::tests::{Home, peer};

/// The client's end of a connection that is served.
fn connect(home: &Home) -> UnixStream {
    connect_as(home, 1000).0
}

/// The same for a user; and the task that serves it.
fn connect_as(home: &Home, uid: u32) -> (UnixStream, JoinHandle<()>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let served = run(theirs, Arc::new(peer(uid)), Arc::new(service(home)), tasks.clone(), stop);
    (ours, tasks.spawn(served))
}

async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
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
async fn nobody_keeps_those_away_who_collect_metrics() {
    let home = Home::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tasks, stop, service) = (TaskTracker::new(), CancellationToken::new(), Arc::new(service(&home)));
    let served = tasks.clone();
    tasks.spawn(async move { metrics::serve(&listener, service, served, stop).await });
    let connect = || async { TcpStream::connect(address).await.unwrap() };
    let mut all = Vec::new();
    for _ in 0..16 {
        let mut stream = connect().await;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost").await.unwrap();
        all.push(stream);
    }
    let soon = Duration::from_secs(6);
    for stream in &mut all {
        assert!(!timeout(soon, rest(stream)).await.unwrap().contains("200"));
    }
    let mut stream = connect().await;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.unwrap();
    let said = timeout(soon, rest(&mut stream)).await.expect("nobody keeps a connection");
    assert!(said.starts_with("HTTP/1.1 200 ") && said.contains("\ntokenkeeper_ready 1\n"), "{said}");
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

/// Requests of which pieces are left out, said twice, or replaced by anything.
#[tokio::test]
async fn whatever_comes_in_is_answered_in_http_or_hung_up_on() {
    let home = Home::new().await;
    let path = format!("/v1/sessions/{}/token", home.id);
    let pieces = [
        "POST ",
        "GET ",
        &path,
        "/v1/logins",
        "/v1/sessions?user=%ff",
        "//",
        "?",
        " HTTP/1.1\r\n",
        " HTTP/1.0\r\n",
        "Host: x\r\n",
        "Content-Type: application/json\r\n",
        "Content-Length: 2\r\n",
        "Content-Length: 0\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: x\r\n",
        "Expect: 100-continue\r\n",
        "Connection: upgrade\r\nUpgrade: h2c\r\n",
        "\r\n",
        "2\r\n{}\r\n0\r\n\r\n",
        "{}",
        "ffffffffffffffff\r\n",
        "{\"min_valid\":\"60s\"}",
        "[[[[[[[[",
        "\0",
        "\n",
    ];
    let mut random = StdRng::seed_from_u64(0x6874_7470);
    for _ in 0..500 {
        let usual = ["POST ", path.as_str(), " HTTP/1.1\r\n", "Host: x\r\n", "Content-Length: 2\r\n", "\r\n", "{}"];
        let mut request: Vec<&str> = usual.to_vec();
        for _ in 0..random.random_range(0..6) {
            let (place, piece) = (random.random_range(0..=request.len()), *pieces.choose(&mut random).unwrap());
            match random.random_range(0..3) {
                0 if place < request.len() => drop(request.remove(place)),
                1 if place < request.len() => request[place] = piece,
                _ => request.insert(place, piece),
            }
        }
        let mut bytes = request.concat().into_bytes();
        if random.random_bool(0.2) && !bytes.is_empty() {
            let place = random.random_range(0..bytes.len());
            bytes[place] = random.random();
        }

        // A stranger: none of it is allowed.
        let (mut stream, served) = connect_as(&home, 7);
        // The daemon may have hung up before it read all.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let said = rest(&mut stream).await;
        served.await.unwrap();
        assert!(said.is_empty() || said.starts_with("HTTP/1."), "{said}");
        assert!(!said.contains("access_token"), "{said}");
    }
}
