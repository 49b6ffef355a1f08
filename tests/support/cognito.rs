//! An emulated Amazon Cognito: `tests/provider/cognito.mjs`, as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use url::Url;

use super::http;
use super::wire::CALLBACK;

/// The one user of its pool.
pub(crate) const USER: &str = "alice@corp.example";
const PASSWORD: &str = "Correct-horse-7";

/// A running emulator. It ends with the test, however the test ends: it watches its standard input.
pub(crate) struct Cognito {
    child: Child,
    /// Where it listens.
    pub(crate) url: String,
    /// The user pool.
    pub(crate) pool: String,
    /// The client of the pool.
    pub(crate) client: String,
}

impl Cognito {
    pub(crate) fn start() -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider");
        assert!(
            dir.join("node_modules/cognito-local").exists(),
            "cognito-local is not installed: run `npm ci --prefix tests/provider` first (`make test` does), \
             or `make test-offline` for the tests that need no npm"
        );
        let mut command = Command::new("node");
        command.current_dir(dir).args(["cognito.mjs", "--callback", CALLBACK, "--user", USER, "--password", PASSWORD]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("cannot run node ({error}): install Node.js 20 or later"));
        let mut first = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut first).expect("it prints UTF-8");
        let ready = first.trim_end().strip_prefix("READY ").and_then(|json| serde_json::from_str::<Value>(json).ok());
        let ready = ready.unwrap_or_else(|| panic!("Cognito did not start: run `node tests/provider/cognito.mjs`"));
        let text = |key: &str| ready[key].as_str().expect("it tells where it is").to_owned();
        Self { child, url: text("url"), pool: text("pool"), client: text("client") }
    }

    /// Logs the user in on the page that `authorize_url` leads to, and returns where the browser is sent back to.
    pub(crate) fn log_in(&self, authorize_url: &str) -> String {
        let page = http::parse(authorize_url);
        let mut form: Vec<(String, String)> = page.query_pairs().into_owned().collect();
        form.extend([("username".to_owned(), USER.to_owned()), ("password".to_owned(), PASSWORD.to_owned())]);
        let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = http::post_form(&format!("{}/oauth2/authorize", self.url), &[], &form).expect("Cognito runs");
        let location = answer.headers_named("location").next().map(str::to_owned);
        location.unwrap_or_else(|| panic!("the login page sends nobody back: {answer:?}"))
    }

    /// Calls its API as an administrator does.
    pub(crate) fn call(&self, operation: &str, body: &Value) -> Value {
        let target = format!("AWSCognitoIdentityProviderService.{operation}");
        let headers = [("Content-Type", "application/x-amz-json-1.1"), ("X-Amz-Target", target.as_str())];
        let url: Url = http::parse(&self.url);
        http::request("POST", &url, &headers, &body.to_string()).expect("Cognito runs").json()
    }

    /// Takes the user away, and with them all of their tokens.
    pub(crate) fn delete_user(&self) {
        self.call("AdminDeleteUser", &json!({ "UserPoolId": self.pool, "Username": USER }));
    }
}

impl Drop for Cognito {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
