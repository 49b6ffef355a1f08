//! The yardstick: a process that answers requests of one fixed length with replies of one fixed length, and does nothing else.
//!
//! It stands on the same runtime as the daemon, with the same number of threads, and asks the kernel for nothing twice.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::Context;
use tokenkeeper_protocol::frame::HELLO_LEN;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::TaskTracker;

use crate::http_echo;
use crate::load::Side;

/// Makes this program the echo: `echo SOCKET GREETING_LENGTH REQUEST_LENGTH REPLY_LENGTH`.
pub(crate) const ARGUMENT: &str = "echo";

/// A running echo, killed when dropped.
pub(crate) struct Echo {
    pub(crate) side: Side,
    process: Child,
    _directory: tempfile::TempDir,
}

impl Echo {
    /// Starts one for requests like `request`.
    pub(crate) fn start(request: Vec<u8>, reply_length: usize) -> anyhow::Result<Self> {
        let lengths = [0, request.len(), reply_length];
        Self::start_as(ARGUMENT, &lengths, Side { request, reply_length, ..Side::default() })
    }

    /// Starts one that is greeted first, and greets back, like the daemon.
    pub(crate) fn start_greeted(request: Vec<u8>, reply_length: usize) -> anyhow::Result<Self> {
        let lengths = [HELLO_LEN, request.len(), reply_length];
        Self::start_as(ARGUMENT, &lengths, Side { greets: true, request, reply_length, ..Side::default() })
    }

    /// Starts one that speaks HTTP, and answers with a body of this length.
    pub(crate) fn start_http(request: Vec<u8>, body_length: usize, reply_length: usize) -> anyhow::Result<Self> {
        Self::start_as(http_echo::ARGUMENT, &[body_length], Side { request, reply_length, ..Side::default() })
    }

    fn start_as(kind: &str, lengths: &[usize], side: Side) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("tk-").tempdir_in("/tmp")?;
        let socket = directory.path().join("echo");
        let mut process = Command::new(std::env::current_exe()?)
            .arg(kind)
            .arg(&socket)
            .args(lengths.iter().map(usize::to_string))
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the echo")?;
        let output = process.stdout.take().context("the echo has no output")?;
        let said = BufReader::new(output).lines().next();
        said.context("the echo did not come up")??;
        let side = Side { socket, process: process.id(), ..side };
        Ok(Self { side, process, _directory: directory })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // Failing means that it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The process itself. Ends only when killed.
pub(crate) fn serve(socket: &Path, greeting: &str, request: &str, reply: &str) -> anyhow::Result<()> {
    let (greeting, request, reply): (usize, usize, usize) = (greeting.parse()?, request.parse()?, reply.parse()?);
    tokio::runtime::Builder::new_multi_thread().enable_io().build()?.block_on(async {
        let listener = UnixListener::bind(socket)?;
        println!("ready");
        std::io::stdout().flush()?;
        let connections = TaskTracker::new();
        let reply: Arc<[u8]> = vec![b'x'; reply].into();
        loop {
            let (stream, _) = listener.accept().await?;
            connections.spawn(answer(stream, greeting, request, Arc::clone(&reply)));
        }
    })
}

/// Until the other side hangs up.
async fn answer(mut stream: UnixStream, greeting: usize, request: usize, reply: Arc<[u8]>) -> std::io::Result<()> {
    if greeting > 0 {
        let mut hello = vec![0; greeting];
        stream.read_exact(&mut hello).await?;
        stream.write_all(&hello).await?;
    }
    // Room for more than a request: a read that leaves room tells tokio that nothing is left, and saves it the next one.
    let mut buffer = vec![0; request + 1];
    let mut filled = 0;
    loop {
        while filled < request {
            match stream.read(&mut buffer[filled..]).await? {
                0 => return Ok(()),
                count => filled += count,
            }
        }
        stream.write_all(&reply).await?;
        filled = 0;
    }
}
