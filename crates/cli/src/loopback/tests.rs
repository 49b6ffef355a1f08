//! The listener as browsers and strangers see it, over real connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::*;

/// Long enough to fail a test only when something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

struct Login {
    waiting: Waiting,
    port: u16,
}

fn begin() -> Login {
    let loopback = Loopback::bind(0).unwrap();
    let port = loopback.port;
    let url = Secret::from("https://id.example/authorize?client_id=a&state=right");
    Login { waiting: loopback.serve(&AuthorizeUrl::try_from(&url).unwrap()).unwrap(), port }
}

impl Login {
    fn open(&self, head: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    fn request(&self, method: &str, target: &str) -> TcpStream {
        self.open(&format!("{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))
    }

    fn ask(&self, method: &str, target: &str) -> String {
        read(self.request(method, target))
    }

    fn start_path(&self) -> String {
        let start = self.waiting.start_url();
        start.strip_prefix(&format!("http://127.0.0.1:{}", self.port)).unwrap().to_owned()
    }
}

fn read(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_start_page_leads_to_the_provider_once() {
    let login = begin();
    let path = login.start_path();
    assert!(login.ask("HEAD", &path).starts_with("HTTP/1.1 405"), "looking at it does not use it up");
    let first = login.ask("GET", &path);
    assert!(first.starts_with("HTTP/1.1 302"), "{first}");
    assert!(first.contains("\r\nLocation: https://id.example/authorize?client_id=a&state=right\r\n"), "{first}");
    let second = login.ask("GET", &path);
    assert!(second.starts_with("HTTP/1.1 410") && !second.contains("right"), "{second}");
}

#[test]
fn only_the_callback_with_the_right_state_ends_the_waiting() {
    let login = begin();
    for wrong in ["/callback", "/callback?code=x", "/callback?code=x&state=wrong", "/callback?state=&state=right"] {
        let answer = login.ask("GET", wrong);
        assert!(answer.starts_with("HTTP/1.1 400"), "{wrong}: {answer}");
    }
    assert!(login.ask("POST", "/callback?code=x&state=right").starts_with("HTTP/1.1 405"));
    let browser = login.request("GET", "/callback?code=x&state=right&iss=y");
    let callback = login.waiting.wait(PATIENCE).unwrap();
    assert_eq!(callback.query().expose(), "code=x&state=right&iss=y");
    let again = login.ask("GET", "/callback?code=x&state=right");
    assert!(again.starts_with("HTTP/1.1 400"), "it ends once: {again}");
    callback.answer(&Outcome::LoggedIn);
    let page = read(browser);
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("You are logged in."), "{page}");
}

#[test]
fn every_page_is_private_and_harmless() {
    let login = begin();
    let pages = ["/", "/callback", "/favicon.ico", "/start/", "/start/0", &login.start_path()]
        .map(|path| login.ask("GET", path));
    let statuses = pages.each_ref().map(|page| page[9..12].to_owned());
    assert_eq!(statuses, ["404", "400", "404", "404", "404", "302"]);
    for page in pages {
        assert!(page.contains("\r\nCache-Control: no-store\r\n"), "{page}");
        assert!(page.contains("\r\nReferrer-Policy: no-referrer\r\n"), "{page}");
        assert!(page.contains("\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline';"), "{page}");
    }
}

#[test]
fn a_visitor_who_says_nothing_keeps_nobody_waiting() {
    let login = begin();
    let silent: Vec<TcpStream> = (0..10).map(|_| login.open("GET /callback?code=")).collect();
    let browser = login.request("GET", "/callback?code=x&state=right");
    let callback = login.waiting.wait(PATIENCE).unwrap();
    callback.answer(&Outcome::Failed("the provider said <no>".to_owned()));
    let page = read(browser);
    assert!(page.starts_with("HTTP/1.1 400") && page.contains("the provider said &lt;no&gt;"), "{page}");
    drop(silent);
}

#[test]
fn a_head_that_is_too_long_or_no_http_is_refused() {
    let login = begin();
    // Exactly as much as is read, so that the refusal is not lost to a reset.
    let long = format!("GET /{}", "x".repeat(16 * 1024 - 5));
    assert!(read(login.open(&long)).starts_with("HTTP/1.1 431"));
    assert!(read(login.open("\u{1}\u{2}\r\n\r\n")).starts_with("HTTP/1.1 400"));
}

#[test]
fn a_login_that_nobody_comes_back_from_ends() {
    assert!(matches!(begin().waiting.wait(Duration::from_millis(1)), Err(Failure::LoginExpired)));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = Loopback::bind(0).unwrap();
    let error = Loopback::bind(taken.port).err().unwrap();
    assert!(error.to_string().contains(&format!("port {}", taken.port)), "{error}");
}
