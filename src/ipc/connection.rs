//! The loop of one connection: hello, then requests in and replies out, each reply as soon as it is there.
//!
//! One task owns both directions. What can be answered from memory is answered in line, and all that is ready goes out
//! in one write; everything else runs as a task of the daemon, which a peer that hangs up does not cancel.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use interprocess::os::unix::uds_local_socket::tokio::Stream;
use tokenkeeper_protocol::codec::Encoded;
use tokenkeeper_protocol::frame::{FLAG_MORE, FrameTooLong, HEADER_LEN, HELLO_LEN, Header, Version};
use tokenkeeper_protocol::request::MoveOut;
use tokenkeeper_protocol::{Code, Problem, Reply, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::{Zeroize, Zeroizing};

use super::input::Input;
use crate::command::{Answer, Service};
use crate::domain::Peer;

/// Requests of one connection that are worked on at the same time; more wait in the socket.
const IN_FLIGHT: usize = 64;
/// Parts of a stream that wait for the peer to read those before them.
const PARTS: usize = 2;
/// Bytes of replies that go out in one write; a peer that asks for more at once gets them one after the other.
const GATHERED: usize = 64 * 1024;
/// A peer that has begun a hello or a frame must end it within this time.
const FRAME_PATIENCE: Duration = Duration::from_secs(30);
/// A peer that does not read its replies is left after this time.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// A peer that is turned away has this long to hear why.
const TURN_AWAY_PATIENCE: Duration = Duration::from_secs(2);
/// The id of a problem that concerns no single request.
const WHOLE_CONNECTION: u64 = 0;

type Finished = (u64, Arc<Encoded>);
type Part = (u64, Encoded);

/// Serves a connection until the peer leaves, breaks the protocol, or the daemon stops.
pub(super) async fn run(
    stream: Stream,
    peer: Arc<Peer>,
    service: Arc<Service>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let (finish, finished) = mpsc::channel(IN_FLIGHT);
    let (part, parts) = mpsc::channel(PARTS);
    let (input, output) = (Input::new(), Zeroizing::new(Vec::new()));
    let mut connection = Connection {
        stream,
        peer,
        service,
        tasks,
        input,
        output,
        finish,
        finished,
        part,
        parts,
        in_flight: 0,
        patience: None,
    };
    if let Err(error) = connection.serve(&stop).await {
        tracing::debug!(peer = %connection.peer, %error, "a connection ended early");
    }
}

/// Tells a peer that it cannot be served at all, and why.
pub(super) async fn turn_away(mut stream: Stream, problem: Problem) {
    let mut output = Zeroizing::new(Version::CURRENT.hello().to_vec());
    put(&mut output, WHOLE_CONNECTION, 0, &Answer::from(problem).encoded());
    let mut hello = [0; HELLO_LEN];
    let farewell = async {
        // Whoever hangs up with unread bytes makes the kernel throw away what was written.
        stream.read_exact(&mut hello).await?;
        stream.write_all(&output).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    };
    // A peer that is not there to hear it needs no telling.
    let _ = timeout(TURN_AWAY_PATIENCE, farewell).await;
}

struct Connection {
    stream: Stream,
    peer: Arc<Peer>,
    service: Arc<Service>,
    tasks: TaskTracker,
    input: Input,
    output: Zeroizing<Vec<u8>>,
    finish: mpsc::Sender<Finished>,
    finished: mpsc::Receiver<Finished>,
    /// Frames that more will follow. Who makes them waits for room.
    part: mpsc::Sender<Part>,
    parts: mpsc::Receiver<Part>,
    in_flight: usize,
    /// When the frame that was begun has to be there whole.
    patience: Patience,
}

type Patience = Option<Pin<Box<Sleep>>>;

/// What the loop woke up for.
enum Woken {
    Stop,
    Part(Part),
    Finished(Finished),
    Received(usize),
}

impl Connection {
    async fn serve(&mut self, stop: &CancellationToken) -> io::Result<()> {
        let greeted = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            greeted = timeout(FRAME_PATIENCE, self.greet()) => greeted.map_err(|_| io::ErrorKind::TimedOut)??,
        };
        if !greeted {
            return Ok(());
        }
        let mut reading = true;
        loop {
            let more = match self.take_requests() {
                Ok(more) => more,
                Err(error) => {
                    self.refuse_frame(&error);
                    return self.flush().await;
                }
            };
            self.flush().await?;
            if more {
                continue;
            }
            if !reading && self.in_flight == 0 {
                return Ok(());
            }
            let wants_more = reading && self.in_flight < IN_FLIGHT;
            if !wants_more {
                // It is we who keep the frame waiting.
                self.patience = None;
            }
            let woken = tokio::select! {
                biased;
                Some(part) = self.parts.recv(), if self.in_flight > 0 => Woken::Part(part),
                Some(finished) = self.finished.recv(), if self.in_flight > 0 => Woken::Finished(finished),
                () = stop.cancelled(), if reading => Woken::Stop,
                count = receive(&mut self.stream, &mut self.input, &mut self.patience), if wants_more => {
                    Woken::Received(count?)
                }
            };
            match woken {
                Woken::Part(part) => self.put_part(&part),
                Woken::Finished(finished) => self.collect(finished),
                Woken::Received(count) if count > 0 => {}
                // The peer has said all it wants to say, or we stop: what is in flight is still answered.
                Woken::Received(_) | Woken::Stop => reading = false,
            }
        }
    }

    /// Exchanges hellos; returns whether both sides speak the same version.
    async fn greet(&mut self) -> io::Result<bool> {
        let hello = loop {
            if let Some(hello) = self.input.hello() {
                break hello;
            }
            if receive(&mut self.stream, &mut self.input, &mut None).await? == 0 {
                return Ok(false);
            }
        };
        self.output.extend_from_slice(&Version::CURRENT.hello());
        let understood = Version::from_hello(hello).is_some_and(|theirs| theirs.major == Version::CURRENT.major);
        if !understood {
            // Our hello tells the peer what would be understood.
            self.flush().await?;
        }
        Ok(understood)
    }

    /// Answers, or starts to work on, the whole frames that are there. Returns whether it left some for after a write.
    fn take_requests(&mut self) -> Result<bool, FrameTooLong> {
        while self.in_flight < IN_FLIGHT {
            if self.output.len() >= GATHERED {
                return Ok(true);
            }
            let Some((header, payload)) = self.input.frame()? else { return Ok(false) };
            self.patience = None;
            let answer = match Request::decode(header.kind, payload) {
                Err(error) => Some(Answer::to_undecodable(error)),
                Ok(request) => {
                    if let Some(answer) = self.service.answer_at_once(&self.peer, &request) {
                        Some(answer)
                    } else {
                        self.start(header.id, request);
                        None
                    }
                }
            };
            if let Some(answer) = answer {
                put(&mut self.output, header.id, 0, &answer.encoded());
            }
        }
        Ok(false)
    }

    fn start(&mut self, id: u64, request: Request) {
        self.in_flight += 1;
        let (service, peer) = (Arc::clone(&self.service), Arc::clone(&self.peer));
        let promise = Promise { id, finish: self.finish.clone(), kept: false };
        let part = self.part.clone();
        let send = move |reply: Reply| reply.encode().is_ok_and(|it| part.blocking_send((id, it)).is_ok());
        self.tasks.spawn(async move {
            promise.keep(match request {
                Request::StoreBackup => service.back_up(&peer, send).await,
                Request::StoreMoveOut(MoveOut::Begin) => service.move_out(&peer, send).await,
                request => service.answer(&peer, request).await,
            });
        });
    }

    fn collect(&mut self, (id, encoded): Finished) {
        // What was sent before an end goes out before it.
        self.put_parts();
        self.in_flight -= 1;
        put(&mut self.output, id, 0, &encoded);
        while self.output.len() < GATHERED
            && let Ok((id, encoded)) = self.finished.try_recv()
        {
            self.put_parts();
            self.in_flight -= 1;
            put(&mut self.output, id, 0, &encoded);
        }
    }

    fn put_parts(&mut self) {
        while let Ok(part) = self.parts.try_recv() {
            self.put_part(&part);
        }
    }

    fn put_part(&mut self, (id, encoded): &Part) {
        put(&mut self.output, *id, FLAG_MORE, encoded);
    }

    fn refuse_frame(&mut self, error: &FrameTooLong) {
        let problem = Problem::new(Code::BadRequest, format!("{error}; the connection ends here"));
        put(&mut self.output, error.id, 0, &Answer::from(problem).encoded());
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let written = timeout(WRITE_PATIENCE, self.stream.write_all(&self.output)).await;
        self.output.as_mut_slice().zeroize();
        self.output.clear();
        written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

/// Reads once. A frame that was begun has to end within its patience; between frames a peer may be silent for ever.
async fn receive(stream: &mut Stream, input: &mut Input, patience: &mut Patience) -> io::Result<usize> {
    let partial = input.is_partial();
    let reading = stream.read(input.room());
    let count = if partial {
        let limit = patience.get_or_insert_with(|| Box::pin(sleep(FRAME_PATIENCE)));
        tokio::select! {
            biased;
            count = reading => count?,
            () = limit => return Err(io::ErrorKind::TimedOut.into()),
        }
    } else {
        reading.await?
    };
    input.received(count);
    Ok(count)
}

/// Appends a frame. Grows the buffer without leaving a copy of tokens behind.
fn put(output: &mut Zeroizing<Vec<u8>>, id: u64, flags: u16, (kind, payload): &Encoded) {
    let needed = output.len() + HEADER_LEN + payload.len();
    if output.capacity() < needed {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
        larger.extend_from_slice(output);
        *output = larger;
    }
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    output.extend_from_slice(&Header { length, kind: *kind, flags, id }.to_bytes());
    output.extend_from_slice(payload);
}

/// A reply that is owed. If the task that owes it dies, the peer learns that instead of waiting for ever.
struct Promise {
    id: u64,
    finish: mpsc::Sender<Finished>,
    kept: bool,
}

impl Promise {
    fn keep(mut self, answer: Answer) {
        self.kept = true;
        self.send(answer);
    }

    fn send(&self, answer: Answer) {
        // There is room for every request in flight; a connection that is gone has nobody to tell.
        let _ = self.finish.try_send((self.id, answer.encoded()));
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.kept {
            self.send(Answer::from(Problem::new(Code::Internal, "the daemon failed inside; its log says more")));
        }
    }
}
