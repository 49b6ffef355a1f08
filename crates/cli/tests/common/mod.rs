//! A daemon that answers as a test wants, and the command run against it.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses what it needs")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use tempfile::TempDir;
use tokenkeeper_protocol::frame::{HEADER_LEN, HELLO_LEN, Header, Version};
use tokenkeeper_protocol::reply::{SessionState, SessionSummary, UserInfo};
use tokenkeeper_protocol::{Reply, Request, UnixSeconds};

/// 2023-11-14T22:13:20Z.
pub const AT: UnixSeconds = UnixSeconds(1_700_000_000);

/// Answers every request on every connection.
pub struct Daemon {
    dir: TempDir,
}

impl Daemon {
    pub fn answering(answer: impl Fn(Request) -> Reply + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || serve(stream.unwrap(), answer.as_ref()));
            }
        });
        Self { dir }
    }

    /// The command with these arguments, in an environment without display, colour and time zone.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = tokenkeeper(arguments);
        command.env("TOKENKEEPER_SOCKET", self.dir.path().join("s"));
        command
    }

    pub fn run(&self, arguments: &str) -> Finished {
        Finished::from(self.command(arguments).output().unwrap())
    }

    /// Runs the command with something on its standard input.
    pub fn run_with(&self, arguments: &str, input: &str) -> Finished {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Finished::from(child.wait_with_output().unwrap())
    }
}

/// The command, without a daemon.
pub fn tokenkeeper(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenkeeper"));
    command.args(arguments.split_whitespace()).stdin(Stdio::null()).env("TZ", "UTC");
    for variable in
        ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "SSH_CONNECTION", "SSH_TTY", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"]
    {
        command.env_remove(variable);
    }
    command
}

/// A command that ended.
pub struct Finished {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Finished {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {:?}", self.stdout))
    }

    pub fn error_json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stderr).unwrap_or_else(|error| panic!("{error}: {:?}", self.stderr))
    }
}

fn serve(mut stream: UnixStream, answer: &impl Fn(Request) -> Reply) {
    let mut hello = [0; HELLO_LEN];
    if stream.read_exact(&mut hello).is_err() {
        return;
    }
    stream.write_all(&Version::CURRENT.hello()).unwrap();
    let mut header = [0; HEADER_LEN];
    while stream.read_exact(&mut header).is_ok() {
        let header = Header::from_bytes(header).unwrap();
        let mut payload = vec![0; header.length as usize];
        stream.read_exact(&mut payload).unwrap();
        let (kind, payload) = answer(Request::decode(header.kind, &payload).unwrap()).encode().unwrap();
        let header = Header { length: u32::try_from(payload.len()).unwrap(), kind, flags: 0, id: header.id };
        stream.write_all(&[header.to_bytes().as_slice(), &payload].concat()).unwrap();
    }
}

pub fn user(name: &str) -> UserInfo {
    UserInfo {
        name: name.parse().unwrap(),
        subject: "s1".to_owned(),
        issuer: "https://id.example".to_owned(),
        email: None,
    }
}

pub fn session(state: SessionState) -> SessionSummary {
    SessionSummary {
        session: "7k3vq2mx".parse().unwrap(),
        provider: "corp".parse().unwrap(),
        user: "alice".parse().unwrap(),
        device: Some("laptop".to_owned()),
        opened_by: "shop.service".to_owned(),
        state,
        token_expires_at: Some(AT),
        ends_at: AT,
    }
}
