//! A real OpenID provider: `tests/provider/server.mjs`, as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::config::CLIENT_SECRET;
use super::deadline::Deadline;
use super::http;

/// A running provider. It ends with the test, however the test ends: it watches its standard input.
pub(crate) struct RealProvider {
    child: Child,
    /// Where it listens; its issuer identifier too, unless it was told another one.
    pub(crate) issuer: String,
}

impl RealProvider {
    /// Access tokens of `access_life` seconds; with `more` options of the server, such as `--rotate`.
    pub(crate) fn start(access_life: u32, more: &[&str]) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider");
        assert!(
            dir.join("node_modules/oidc-provider").exists(),
            "the real provider is not installed: run `npm ci --prefix tests/provider` first (`make test` does), \
             or `make test-offline` for the tests that need no npm"
        );
        let mut command = Command::new("node");
        command.current_dir(dir).args(["server.mjs", "--access-life", &access_life.to_string()]).args(more);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("cannot run node ({error}): install Node.js 20 or later"));
        let mut first = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut first).expect("it prints UTF-8");
        let issuer = first.trim_end().strip_prefix("READY ").map(str::to_owned);
        let issuer =
            issuer.unwrap_or_else(|| panic!("the provider did not start: run `node tests/provider/server.mjs`"));
        Self { child, issuer }
    }

    /// Who the provider says this access token belongs to; `None` if it does not accept it.
    pub(crate) fn userinfo(&self, access_token: &str) -> Option<serde_json::Value> {
        let authorization = format!("Bearer {access_token}");
        let url = http::parse(&format!("{}/me", self.issuer));
        let answer = http::request("GET", &url, &[("Authorization", &authorization)], "").expect("the provider runs");
        (answer.status == 200).then(|| answer.json())
    }

    /// Whether the provider holds this token for alive (RFC 7662).
    pub(crate) fn is_active(&self, token: &str) -> bool {
        let authorization = http::basic("shop", CLIENT_SECRET);
        let url = format!("{}/token/introspection", self.issuer);
        let answer = http::post_form(&url, &[("Authorization", &authorization)], &[("token", token)]);
        answer.expect("the provider runs").json()["active"].as_bool().expect("an answer to an introspection")
    }

    /// Queues a fault; see `tests/provider/faults.mjs`.
    pub(crate) fn fault(&self, fault: &serde_json::Value) {
        self.control("fault", &fault.to_string());
    }

    /// Lets go of requests that a fault holds.
    pub(crate) fn release(&self) {
        self.control("release", "");
    }

    /// How often the token endpoint was asked for this grant, or another endpoint by its path.
    pub(crate) fn count(&self, what: &str) -> u64 {
        self.control("counts", "")[what].as_u64().unwrap_or(0)
    }

    /// Ends all that `user` granted, as an administrator of the provider does.
    pub(crate) fn end_grants(&self, user: &str) {
        self.control("end", &serde_json::json!({ "account": user }).to_string());
    }

    /// Whose grants were ended before their time, by whatever reason.
    pub(crate) fn ended(&self) -> Vec<String> {
        serde_json::from_value(self.control("ended", "")).expect("the control tells names")
    }

    /// Waits until a request is held.
    pub(crate) fn wait_until_held(&self) {
        let deadline = Deadline::after(std::time::Duration::from_mins(1));
        while self.count("held") == 0 {
            assert!(deadline.left().is_some(), "no request came that could be held");
        }
    }

    fn control(&self, what: &str, body: &str) -> serde_json::Value {
        let url = http::parse(&format!("{}/control/{what}", self.issuer));
        http::request("POST", &url, &[], body).expect("the provider runs").json()
    }
}

impl Drop for RealProvider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
