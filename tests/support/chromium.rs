//! A person's browser, for real: headless Chromium, driven by its own driver over the `WebDriver` protocol.

use std::io::{BufRead, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::deadline::{Deadline, PATIENCE};
use super::http;

/// The member that names an element in an answer of the driver.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// One browser with a profile of its own: nobody is logged in anywhere.
pub(crate) struct Chromium {
    driver: Child,
    /// Without a reader the driver would end.
    _said: BufReader<ChildStdout>,
    session: String,
    _profile: TempDir,
}

impl Chromium {
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().expect("there is room for a profile");
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot run chromedriver ({error}): install chromium and chromium-driver (`make deps` does)")
            });
        let mut said = BufReader::new(driver.stdout.take().expect("stdout is piped"));
        let port = said.by_ref().lines().map_while(Result::ok).find_map(|line| {
            line.strip_suffix('.')?.rsplit_once("successfully on port ").map(|(_, port)| port.to_owned())
        });
        let base = format!("http://127.0.0.1:{}/session", port.expect("chromedriver tells its port"));
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": { "args": arguments } } } });
        let answer = call("POST", &base, &wanted).unwrap_or_else(|error| panic!("Chromium does not start: {error}"));
        let id = answer["sessionId"].as_str().expect("a session has an id");
        Self { session: format!("{base}/{id}"), driver, _said: said, _profile: profile }
    }

    /// Opens a page, and whatever it redirects to.
    pub(crate) fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({ "url": url }));
    }

    /// Where the browser is.
    pub(crate) fn address(&self) -> String {
        self.ask("GET", "/url", &Value::Null).as_str().expect("an address").to_owned()
    }

    /// What a person reads in the element, once it is there.
    pub(crate) fn text(&self, selector: &str) -> String {
        let element = self.find(selector);
        self.ask("GET", &format!("/element/{element}/text"), &Value::Null).as_str().expect("a text").to_owned()
    }

    /// Types into a field.
    pub(crate) fn fill(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        self.ask("POST", &format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Presses a button or follows a link that leads to another page, and waits until this one is gone: the driver may
    /// answer sooner, and a page that is asked for meanwhile would take the other's place.
    pub(crate) fn leave_by(&self, selector: &str) {
        let element = self.find(selector);
        self.ask("POST", &format!("/element/{element}/click"), &json!({}));
        let still_here = format!("{}/element/{element}/name", self.session);
        let deadline = Deadline::after(PATIENCE);
        while call("GET", &still_here, &Value::Null).is_ok() {
            assert!(deadline.left().is_some(), "{selector} does not lead away from {}", self.address());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// The cookies of the page, as the browser keeps them.
    pub(crate) fn cookies(&self) -> Value {
        self.ask("GET", "/cookie", &Value::Null)
    }

    /// Waits until an element is there.
    fn find(&self, selector: &str) -> String {
        let deadline = Deadline::after(PATIENCE);
        let wanted = json!({ "using": "css selector", "value": selector });
        loop {
            match call("POST", &format!("{}/element", self.session), &wanted) {
                Ok(found) => return found[ELEMENT].as_str().expect("an element").to_owned(),
                Err(error) => assert!(
                    deadline.left().is_some(),
                    "no {selector} at {}: {error}\n{}",
                    self.address(),
                    self.ask("GET", "/source", &Value::Null)
                ),
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        call(method, &format!("{}{path}", self.session), body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = call("DELETE", &self.session, &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// One command of the `WebDriver` protocol; its answer, or what went wrong.
fn call(method: &str, url: &str, body: &Value) -> Result<Value, String> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let headers = [("Content-Type", "application/json")];
    let answer = http::request_as("HTTP/1.1", method, &http::parse(url), &headers, &body);
    let answer = answer.map_err(|error| error.to_string())?;
    let value = answer.json()["value"].take();
    if answer.status == 200 { Ok(value) } else { Err(value["message"].to_string()) }
}
