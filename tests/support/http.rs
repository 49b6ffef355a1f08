//! As much HTTP as the tests need: one request on one connection, and the reading of requests for the scripted provider.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use url::Url;

use super::deadline::PATIENCE;

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn headers_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }
}

/// One request. HTTP/1.0, so that the answer is never chunked and ends with the connection.
pub(crate) fn request(method: &str, url: &Url, headers: &[(&str, &str)], body: &str) -> io::Result<Answer> {
    request_as("HTTP/1.0", method, url, headers, body)
}

/// The same in another version of HTTP, of a server that sends no chunks.
pub(crate) fn request_as(
    version: &str,
    method: &str,
    url: &Url,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Answer> {
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(80));
    let mut stream = TcpStream::connect((host.trim_matches(['[', ']']), port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let length = body.len();
    let mut text = format!(
        "{method} {target} {version}\r\nHost: {host}:{port}\r\nConnection: close\r\nContent-Length: {length}\r\n"
    );
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes())?;
    let mut reader = BufReader::new(stream);
    let status_line = line(&mut reader)?;
    let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status line: {status_line:?}")))?;
    let headers = header_lines(&mut reader)?;
    let mut body = String::new();
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(u64::MAX);
    reader.take(length).read_to_string(&mut body)?;
    Ok(Answer { status, headers, body })
}

pub(crate) fn get(url: &str) -> io::Result<Answer> {
    request("GET", &parse(url), &[], "")
}

pub(crate) fn post_form(url: &str, headers: &[(&str, &str)], form: &[(&str, &str)]) -> io::Result<Answer> {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut headers = headers.to_vec();
    headers.push(("Content-Type", "application/x-www-form-urlencoded"));
    request("POST", &parse(url), &headers, &body)
}

pub(crate) fn parse(url: &str) -> Url {
    Url::parse(url).unwrap_or_else(|error| panic!("{url:?} is no URL: {error}"))
}

/// The value of `Authorization` for `client_secret_basic`.
pub(crate) fn basic(client_id: &str, client_secret: &str) -> String {
    format!("Basic {}", data_encoding::BASE64.encode(format!("{client_id}:{client_secret}").as_bytes()))
}

/// What a client sent.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Received {
    /// A parameter of the form that was posted, or of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = [&self.body, &self.query].map(|text| url::form_urlencoded::parse(text.as_bytes()));
        pairs.into_iter().flatten().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Reads one request; `None` when the client closed the connection without one.
pub(crate) fn receive(stream: &TcpStream) -> io::Result<Option<Received>> {
    let mut reader = BufReader::new(stream);
    let request_line = line(&mut reader)?;
    let Some(target) = request_line.split(' ').nth(1) else { return Ok(None) };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = header_lines(&mut reader)?;
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = String::new();
    reader.take(length).read_to_string(&mut body)?;
    let method = request_line.split(' ').next().unwrap_or_default().to_owned();
    Ok(Some(Received { method, path: path.to_owned(), query: query.to_owned(), headers, body }))
}

/// Writes one answer, after which the connection is over.
pub(crate) fn reply(mut stream: &TcpStream, status: u16, headers: &[(String, String)], body: &str) -> io::Result<()> {
    stream.write_all(format!("{}{body}", head(status, headers, body.len())).as_bytes())
}

fn head(status: u16, headers: &[(String, String)], length: usize) -> String {
    let mut text = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: {length}\r\nConnection: close\r\n");
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text + "\r\n"
}

/// Begins an answer, and closes the connection half-way.
pub(crate) fn cut_short(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 Scripted\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n\r\n{\"access_token\":",
    )
}

/// The same as [`reply`], and closes the connection in the middle of the body.
pub(crate) fn cut_half(
    mut stream: &TcpStream,
    status: u16,
    headers: &[(String, String)],
    body: &str,
) -> io::Result<()> {
    stream.write_all(head(status, headers, body.len()).as_bytes())?;
    stream.write_all(&body.as_bytes()[..body.len() / 2])
}

/// Begins an answer that ends when the client has had enough.
pub(crate) fn go_on(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 Scripted\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n[")?;
    loop {
        stream.write_all(&[b' '; 16 * 1024])?;
    }
}

/// The same as [`reply`], byte by byte.
pub(crate) fn drip(
    mut stream: &TcpStream,
    status: u16,
    headers: &[(String, String)],
    body: &str,
    pause: impl Fn(),
) -> io::Result<()> {
    for byte in format!("{}{body}", head(status, headers, body.len())).into_bytes() {
        stream.write_all(&[byte])?;
        pause();
    }
    Ok(())
}

/// Sends 64 KiB that inflate to ten megabytes of zeros: one zero, and the order to repeat it 258 times, again and again
/// (RFC 1951 section 3.2.6).
pub(crate) fn bomb(mut stream: &TcpStream) -> io::Result<()> {
    let mut body = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let mut bits = vec![1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0];
    while bits.len() < 8 * 64 * 1024 {
        bits.extend([1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0]);
    }
    body.extend(bits.chunks(8).map(|bits| bits.iter().rev().fold(0_u8, |byte, bit| byte << 1 | bit)));
    let head = "HTTP/1.1 200 Scripted\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n";
    stream.write_all(format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()).as_bytes())?;
    stream.write_all(&body)
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn header_lines(reader: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = line(reader)?;
        match line.split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => return Ok(headers),
        }
    }
}
