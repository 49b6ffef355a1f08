//! Whole connections over a pair of sockets.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use interprocess::os::unix::uds_local_socket::tokio::Stream;
use tokenkeeper_protocol::frame::{HEADER_LEN, HELLO_LEN, Header, Version};
use tokenkeeper_protocol::{Reply, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection;
use crate::command::tests::{service, token_request};
use crate::keeper::tests::{Home, peer};

/// The client's end of a connection that is served.
async fn connect(home: &Home) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let theirs = Stream::try_from(OwnedFd::from(theirs.into_std().unwrap())).unwrap();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let served = connection::run(theirs, Arc::new(peer(1000)), Arc::new(service(home)), tasks.clone(), stop);
    tasks.spawn(served);
    let mut ours = ours;
    ours.write_all(&Version::CURRENT.hello()).await.unwrap();
    ours.read_exact(&mut [0; HELLO_LEN]).await.unwrap();
    ours
}

async fn reply(stream: &mut UnixStream) -> (u64, Reply) {
    let mut header = [0; HEADER_LEN];
    stream.read_exact(&mut header).await.unwrap();
    let header = Header::from_bytes(header).unwrap();
    let mut payload = vec![0; header.length as usize];
    stream.read_exact(&mut payload).await.unwrap();
    (header.id, Reply::decode(header.kind, &payload).unwrap())
}

#[tokio::test]
async fn a_peer_that_asks_for_much_at_once_gets_every_reply() {
    const REQUESTS: u64 = 1500;
    let home = Home::with(
        |_| {},
        |session| {
            session.tokens.as_mut().unwrap().access.token = Secret::from("x".repeat(16_000));
        },
    )
    .await;
    let stream = connect(&home).await;
    let (kind, payload) = token_request(home.id).encode().unwrap();
    let frame = |id| {
        let header = Header { length: u32::try_from(payload.len()).unwrap(), kind, flags: 0, id };
        [&header.to_bytes()[..], &payload].concat()
    };
    let requests: Vec<_> = (0..REQUESTS).flat_map(frame).collect();
    let stream = stream.into_std().unwrap();
    let mut writer = UnixStream::from_std(stream.try_clone().unwrap()).unwrap();
    let mut reader = UnixStream::from_std(stream).unwrap();
    let (written, mut seen) = tokio::join!(writer.write_all(&requests), async {
        let mut seen = Vec::new();
        for _ in 0..REQUESTS {
            let (id, reply) = reply(&mut reader).await;
            assert!(matches!(reply, Reply::Token(_)));
            seen.push(id);
        }
        seen
    });
    written.unwrap();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..REQUESTS));
}

#[tokio::test]
async fn a_peer_that_has_said_all_it_wants_to_say_is_still_answered() {
    let home = Home::new().await;
    let mut stream = connect(&home).await;
    let (kind, payload) = token_request(home.id).encode().unwrap();
    let header = Header { length: u32::try_from(payload.len()).unwrap(), kind, flags: 0, id: 7 };
    stream.write_all(&[&header.to_bytes()[..], &payload].concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    let (id, answer) = reply(&mut stream).await;
    assert_eq!(id, 7);
    assert!(matches!(answer, Reply::Token(_)), "{answer:?}");
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}
