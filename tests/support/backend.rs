//! A backend that speaks HTTP/1.1 to the daemon by hand, for what a library would never send.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use super::browser::Browser;
use super::deadline::PATIENCE;
use super::wire::CALLBACK;

/// One connection.
pub(crate) struct Backend {
    stream: BufReader<UnixStream>,
}

/// What the daemon answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Backend {
    pub(crate) fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket)
            .unwrap_or_else(|error| panic!("cannot connect to {}: {error}", socket.display()));
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time limit");
        Self { stream: BufReader::new(stream) }
    }

    /// Sends bytes as they are. The other side may have hung up already: what it said before is read afterwards.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// Sends a request; with a body, it is JSON.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: Option<&Value>) {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        let request = match body {
            None => format!("{head}\r\n"),
            Some(body) => {
                let body = body.to_string();
                format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            }
        };
        self.send_bytes(request.as_bytes());
    }

    /// Says that nothing more will be sent.
    pub(crate) fn close_sending(&mut self) {
        let _ = self.stream.get_ref().shutdown(std::net::Shutdown::Write);
    }

    /// The next answer; none if the daemon hung up.
    pub(crate) fn try_receive(&mut self) -> Option<Answered> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head).unwrap_or(0) == 0 {
                assert_eq!(head, "", "half a head of an answer");
                return None;
            }
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
        let mut answered = Answered { status, head, body: String::new() };
        let length = answered.header("content-length").and_then(|length| length.parse().ok()).expect("a length");
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("the whole body comes");
        answered.body = String::from_utf8(body).expect("bodies are UTF-8");
        Some(answered)
    }

    pub(crate) fn receive(&mut self) -> Answered {
        self.try_receive().expect("the daemon answers")
    }

    /// What the daemon sends until it hangs up.
    pub(crate) fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let ended = self.stream.read_to_end(&mut bytes);
        let hangs = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!hangs, "the daemon does not hang up; it sent {bytes:?}");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn get(&mut self, path: &str) -> Answered {
        self.send("GET", path, None);
        self.receive()
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Answered {
        self.send("POST", path, Some(body));
        self.receive()
    }

    /// Logs `user` in at `corp` as a web backend does, and gives the answer to the completion.
    pub(crate) fn login(&mut self, user: &str) -> Answered {
        let begun = self.post("/v1/logins", &json!({ "provider": "corp", "redirect_uri": CALLBACK })).json();
        let url = begun["authorize_url"].as_str().unwrap_or_else(|| panic!("no login page in {begun}"));
        let back = Browser::default().log_in_until(url, user, CALLBACK);
        let query = back.split_once('?').map_or("", |(_, query)| query);
        let id = begun["login_id"].as_str().expect("a login has an id");
        self.post(&format!("/v1/logins/{id}/complete"), &json!({ "callback_query": query }))
    }

    /// The same; gives the reference of the session.
    pub(crate) fn session(&mut self, user: &str) -> String {
        let user = self.login(user).json();
        user["session"].as_str().unwrap_or_else(|| panic!("no session in {user}")).to_owned()
    }
}

impl Answered {
    /// A header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// The problem it must be, by status and code.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!((self.status, &problem["code"]), (status, &json!(code)), "{problem}");
        assert_eq!(problem["status"], status, "the body says the same");
        problem
    }
}
