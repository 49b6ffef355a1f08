//! Whole connections over a pair of sockets.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use interprocess::os::unix::uds_local_socket::tokio::Stream;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokenkeeper_protocol::frame::{HEADER_LEN, HELLO_LEN, Header, Version};
use tokenkeeper_protocol::{Reply, Request, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection;
use crate::command::tests::{service, token_request};
use crate::keeper::tests::{Home, peer};

/// The client's end of a connection that is served.
async fn connect(home: &Home) -> UnixStream {
    let (mut ours, _) = connect_as(home, 1000);
    ours.write_all(&Version::CURRENT.hello()).await.unwrap();
    ours.read_exact(&mut [0; HELLO_LEN]).await.unwrap();
    ours
}

/// The same for a user, before the hellos; and the task that serves it.
fn connect_as(home: &Home, uid: u32) -> (UnixStream, JoinHandle<()>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let theirs = Stream::try_from(OwnedFd::from(theirs.into_std().unwrap())).unwrap();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let served = connection::run(theirs, Arc::new(peer(uid)), Arc::new(service(home)), tasks.clone(), stop);
    (ours, tasks.spawn(served))
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

#[tokio::test(start_paused = true)]
async fn a_frame_that_comes_drop_by_drop_is_not_waited_for() {
    let home = Home::new().await;
    let mut stream = connect(&home).await;
    let frame = status_frame(1);
    for drop in frame.chunks(4) {
        if stream.write_all(drop).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    assert_eq!(stream.read(&mut [0; HEADER_LEN]).await.unwrap_or(0), 0, "a frame that took a minute is answered");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_always_in_the_middle_of_the_next_frame_is_served() {
    let home = Home::new().await;
    let mut stream = connect(&home).await;
    let frames: Vec<u8> = (0..6).flat_map(status_frame).collect();
    let (first, rest) = frames.split_at(HEADER_LEN + 5);
    stream.write_all(first).await.unwrap();
    for (id, next) in (0..).zip(rest.chunks(HEADER_LEN)) {
        assert_eq!(reply(&mut stream).await.0, id);
        tokio::time::sleep(Duration::from_secs(20)).await;
        stream.write_all(next).await.unwrap();
    }
    assert_eq!(reply(&mut stream).await.0, 5);
}

fn status_frame(id: u64) -> [u8; HEADER_LEN] {
    let (kind, _) = Request::Status.encode().unwrap();
    Header { length: 0, kind, flags: 0, id }.to_bytes()
}

/// Hellos, headers and payloads that are right, nearly right, or anything.
#[tokio::test]
async fn whatever_comes_in_is_answered_in_whole_frames_or_hung_up_on() {
    let home = Home::new().await;
    let token = token_request(home.id).encode().unwrap().1;
    let mut random = StdRng::seed_from_u64(0x746b_7072);
    for _ in 0..300 {
        let mut bytes = Version::CURRENT.hello().to_vec();
        for id in 0..random.random_range(0..20) {
            let payload = match random.random_range(0..3) {
                0 => token.to_vec(),
                1 => vec![],
                _ => (0..random.random_range(0..200)).map(|_| random.random()).collect(),
            };
            let length = u32::try_from(payload.len()).unwrap();
            let kind = random.random_range(0..0x20);
            bytes.extend(Header { length, kind, flags: random.random(), id }.to_bytes());
            bytes.extend(payload);
        }
        if random.random_bool(0.5) {
            let place = random.random_range(0..bytes.len());
            bytes[place] = random.random();
        }
        bytes.truncate(random.random_range(bytes.len() / 2..=bytes.len()));

        // A stranger: none of it is allowed.
        let (mut stream, served) = connect_as(&home, 7);
        // The daemon may have hung up before it read all.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        served.await.unwrap();
        if let Some(mut frames) = said.strip_prefix(&Version::CURRENT.hello()) {
            while let Some((header, behind)) = frames.split_first_chunk::<HEADER_LEN>() {
                let header = Header::from_bytes(*header).unwrap();
                let (payload, rest) = behind.split_at(header.length as usize);
                let reply = Reply::decode(header.kind, payload).unwrap();
                assert!(!matches!(reply, Reply::Token(_)));
                frames = rest;
            }
            assert!(frames.is_empty());
        } else {
            assert!(said.is_empty(), "{said:?}");
        }
    }
}
