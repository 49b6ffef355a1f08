//! A token over the HTTP socket, against an echo on the same HTTP stack.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, ensure};
use tokenkeeper_protocol::SessionRef;

use crate::compare::{Contest, Placement};
use crate::echo::Echo;
use crate::load::Side;
use crate::report::{Aim, Report};

/// What a backend asks for.
const BODY: &str = r#"{"min_valid":"60s"}"#;
/// The end of a head.
const BLANK_LINE: &[u8] = b"\r\n\r\n";

/// Adds the figures of the HTTP socket.
pub(crate) fn measure(process: u32, socket: &Path, session: SessionRef, report: &mut Report) -> anyhow::Result<()> {
    let (server, body_length) = side(process, socket, session)?;
    let start = || Echo::start_http(server.request.clone(), body_length, server.reply_length);
    let (echo, twin) = (start()?, start()?);
    let contest = Contest { echo: &echo.side, twin: &twin.side, server: &server };
    let (p50, p99) = contest.latency(Placement::OneCore)?;
    report.add("http_echo_p50_us", p50.echo, "echo on the same HTTP stack, one connection, one core");
    report.add("http_token_p50_us", p50.server, "the same");
    report.add_ratio("http_token_p50_ratio", &p50, Some(Aim::AtMost(1.5)), "one core");
    report.add_ratio("http_token_p99_ratio", &p99, None, "one core");
    Ok(())
}

/// The daemon, asked twice: the first hand-out waits for its audit record. Also the length of the body that it answers with.
fn side(process: u32, socket: &Path, session: SessionRef) -> anyhow::Result<(Side, usize)> {
    let length = BODY.len();
    let request = format!(
        "POST /v1/sessions/{session}/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{BODY}"
    );
    let mut stream = UnixStream::connect(socket).with_context(|| format!("cannot connect to {}", socket.display()))?;
    let mut answered = (0, 0);
    for _ in 0..2 {
        stream.write_all(request.as_bytes())?;
        answered = read_answer(&mut stream)?;
    }
    let (head, body) = answered;
    let side = Side {
        socket: socket.to_owned(),
        greets: false,
        request: request.into_bytes(),
        reply_length: head + body,
        process,
    };
    Ok((side, body))
}

/// Reads one answer, which must be a token; the lengths of its head and its body.
fn read_answer(stream: &mut UnixStream) -> anyhow::Result<(usize, usize)> {
    let mut head = Vec::new();
    while !head.ends_with(BLANK_LINE) {
        let mut byte = [0];
        stream.read_exact(&mut byte).context("no whole answer came")?;
        head.extend_from_slice(&byte);
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    ensure!(text.starts_with("http/1.1 200 "), "the daemon gives no token: {text}");
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).context("no length")?;
    let mut body = vec![0; length.trim().parse()?];
    stream.read_exact(&mut body).context("no whole answer came")?;
    Ok((head.len(), body.len()))
}
