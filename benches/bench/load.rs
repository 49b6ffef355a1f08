//! The load generator: the same code for both sides of a comparison, so that what it costs itself is on both.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokenkeeper_protocol::frame::{FLAG_MORE, HEADER_LEN, HELLO_LEN, Header, Version};
use tokenkeeper_protocol::request::{Selector, TokenRequest};
use tokenkeeper_protocol::{Reply, Request, SessionRef};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::stopwatch::{Stopwatch, microseconds};

/// A server that does not answer for so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sessions asked for in the measure of cold tokens.
const COLD_SESSIONS: usize = 2_000;

/// One of the servers that are compared: requests and replies that never change in length.
#[derive(Clone, Default)]
pub(crate) struct Side {
    pub(crate) socket: PathBuf,
    /// Whether it speaks the hello of the native protocol first.
    pub(crate) greets: bool,
    pub(crate) request: Vec<u8>,
    pub(crate) reply_length: usize,
    /// Its process.
    pub(crate) process: u32,
}

impl Side {
    /// The daemon at `socket`, asked for the token of `session`. Asks once, so that the token is in memory.
    pub(crate) fn daemon(process: u32, socket: &Path, session: SessionRef) -> anyhow::Result<Self> {
        let request = token_request(session)?;
        let mut side = Self { socket: socket.to_owned(), greets: true, request, reply_length: 0, process };
        let mut stream = side.connect()?;
        stream.write_all(&side.request)?;
        side.reply_length = read_token(&mut stream)?;
        Ok(side)
    }

    fn connect(&self) -> anyhow::Result<UnixStream> {
        if self.greets { greeted(&self.socket) } else { connected(&self.socket) }
    }
}

fn connected(socket: &Path) -> anyhow::Result<UnixStream> {
    let stream = UnixStream::connect(socket).with_context(|| format!("cannot connect to {}", socket.display()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn greeted(socket: &Path) -> anyhow::Result<UnixStream> {
    let mut stream = connected(socket)?;
    stream.write_all(&Version::CURRENT.hello())?;
    let mut hello = [0; HELLO_LEN];
    stream.read_exact(&mut hello).context("the daemon does not greet")?;
    ensure!(Version::from_hello(hello).is_some(), "the daemon greets with something else");
    Ok(stream)
}

/// One connection, one request at a time.
pub(crate) struct PingPong<'a> {
    side: &'a Side,
    stream: UnixStream,
    reply: Vec<u8>,
}

impl<'a> PingPong<'a> {
    pub(crate) fn connect(side: &'a Side) -> anyhow::Result<Self> {
        Ok(Self { side, stream: side.connect()?, reply: vec![0; side.reply_length] })
    }

    /// How long each of `count` exchanges took, shortest first.
    pub(crate) fn run(&mut self, count: usize) -> anyhow::Result<Vec<Duration>> {
        let mut spans = Vec::with_capacity(count);
        for _ in 0..count {
            let watch = Stopwatch::start();
            self.stream.write_all(&self.side.request)?;
            self.stream.read_exact(&mut self.reply).context("no whole reply came")?;
            spans.push(watch.elapsed());
        }
        spans.sort_unstable();
        Ok(spans)
    }
}

/// How long each of `count` exchanges took that had a connection of its own, shortest first.
pub(crate) fn one_shots(side: &Side, count: usize) -> anyhow::Result<Vec<Duration>> {
    let mut reply = vec![0; side.reply_length];
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let watch = Stopwatch::start();
        let mut stream = side.connect()?;
        stream.write_all(&side.request)?;
        stream.read_exact(&mut reply).context("no whole reply came")?;
        drop(stream);
        spans.push(watch.elapsed());
    }
    spans.sort_unstable();
    Ok(spans)
}

/// Many connections, one request at a time on each.
pub(crate) struct Crowd {
    connections: Vec<Member>,
}

struct Member {
    stream: tokio::net::UnixStream,
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl Crowd {
    /// Must be called within a runtime.
    pub(crate) fn connect(side: &Side, connections: u32) -> anyhow::Result<Self> {
        let member = |_| {
            let stream = side.connect()?;
            stream.set_nonblocking(true)?;
            let stream = tokio::net::UnixStream::from_std(stream)?;
            Ok(Member { stream, request: side.request.clone(), reply: vec![0; side.reply_length] })
        };
        Ok(Self { connections: (0..connections).map(member).collect::<anyhow::Result<_>>()? })
    }

    /// Exchanges per second while each connection makes `count`.
    pub(crate) async fn run(&mut self, count: u32) -> anyhow::Result<f64> {
        let watch = Stopwatch::start();
        let mut running = JoinSet::new();
        for mut member in self.connections.drain(..) {
            running.spawn(async move {
                for _ in 0..count {
                    member.stream.write_all(&member.request).await?;
                    member.stream.read_exact(&mut member.reply).await?;
                }
                anyhow::Ok(member)
            });
        }
        while let Some(member) = running.join_next().await {
            self.connections.push(member??);
        }
        let exchanges = f64::from(count) * f64::from(u32::try_from(self.connections.len())?);
        Ok(exchanges / watch.elapsed().as_secs_f64())
    }
}

/// The median over many sessions, none of which is in the daemon's memory. The first round pays for what only the first hand-out
/// costs, which is its audit record.
pub(crate) fn cold_p50_us(socket: &Path, sessions: &[SessionRef]) -> anyhow::Result<f64> {
    let sessions = sessions.get(..COLD_SESSIONS).context("the store holds too few sessions")?;
    let mut spans = Vec::with_capacity(COLD_SESSIONS);
    let mut stream = greeted(socket)?;
    for round in 0..2 {
        for session in sessions {
            let request = token_request(*session)?;
            let watch = Stopwatch::start();
            stream.write_all(&request)?;
            read_token(&mut stream)?;
            if round == 1 {
                spans.push(watch.elapsed());
            }
        }
    }
    spans.sort_unstable();
    Ok(microseconds(spans[COLD_SESSIONS / 2]))
}

/// Asks the daemon at `socket` once.
pub(crate) fn ask(socket: &Path, request: &Request) -> anyhow::Result<Reply> {
    let (kind, payload) = request.encode()?;
    let mut stream = greeted(socket)?;
    stream.write_all(&frame(kind, &payload)?)?;
    read_reply(&mut stream).map(|(reply, _)| reply)
}

/// The frame that asks for the token of `session`.
pub(crate) fn token_request(session: SessionRef) -> anyhow::Result<Vec<u8>> {
    let selector = Selector::Session(session);
    let request = Request::Token(TokenRequest { selector, min_valid_seconds: None, timeout_ms: None });
    let (kind, payload) = request.encode()?;
    frame(kind, &payload)
}

pub(crate) fn frame(kind: u16, payload: &[u8]) -> anyhow::Result<Vec<u8>> {
    let header = Header { length: payload.len().try_into()?, kind, flags: 0, id: 1 };
    Ok([&header.to_bytes(), payload].concat())
}

/// Reads one reply, which must be a token; its length with the header.
fn read_token(stream: &mut UnixStream) -> anyhow::Result<usize> {
    match read_reply(stream)? {
        (Reply::Token(_), length) => Ok(length),
        (Reply::Problem(problem), _) => bail!("the daemon gives no token: {problem}"),
        (other, _) => bail!("the daemon answered {other:?}"),
    }
}

/// Reads one reply; and its length with the header.
fn read_reply(stream: &mut UnixStream) -> anyhow::Result<(Reply, usize)> {
    let mut header = [0; HEADER_LEN];
    stream.read_exact(&mut header).context("no reply came")?;
    let header = Header::from_bytes(header)?;
    let mut payload = vec![0; header.length as usize];
    stream.read_exact(&mut payload).context("no whole reply came")?;
    ensure!(header.flags & FLAG_MORE == 0, "a reply came in several frames");
    Ok((Reply::decode(header.kind, &payload)?, HEADER_LEN + payload.len()))
}
