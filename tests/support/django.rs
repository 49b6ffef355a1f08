//! A second real OpenID provider: django-oauth-toolkit in `tests/provider/django`, as a process of its own.
//!
//! It rotates refresh tokens, and a refresh kills the old access token at once.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::http;

/// A running provider. It ends with the test, however the test ends: it watches its standard input.
pub(crate) struct Django {
    child: Child,
    /// Where it listens; its issuer identifier too, unless it was told another one.
    pub(crate) issuer: String,
}

impl Django {
    /// Access tokens of `access_life` seconds.
    pub(crate) fn start(access_life: u32) -> Self {
        Self::start_with(access_life, &[])
    }

    /// The same, with more options of the server.
    pub(crate) fn start_with(access_life: u32, more: &[&str]) -> Self {
        let tools = Path::new(env!("CARGO_BIN_EXE_tokenkeeperd")).ancestors().nth(2).expect("it is in target/debug");
        let python = tools.join("tools/django/bin/python");
        assert!(
            tools.join("tools/django/installed").exists(),
            "django-oauth-toolkit is not installed: run `scripts/prerequisites django` first (`make test` does, and needs \
             what pip can reach), or `make test-offline` for the tests that need no pip"
        );
        let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider/django/server.py");
        let mut command = Command::new(python);
        command.arg("-B").arg(server).args(["--access-life", &access_life.to_string()]).args(more);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn();
        let mut child =
            child.unwrap_or_else(|error| panic!("cannot run Python ({error}): run `scripts/prerequisites django`"));
        let mut first = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut first).expect("it prints UTF-8");
        let issuer = first.trim_end().strip_prefix("READY ").map(str::to_owned);
        let issuer = issuer.unwrap_or_else(|| panic!("the provider did not start: what it said is above"));
        Self { child, issuer }
    }

    /// Whether an API of the provider would accept this token.
    pub(crate) fn accepts(&self, access_token: &str) -> bool {
        let url = http::parse(&format!("{}/alive?token={access_token}", self.issuer));
        http::request("GET", &url, &[], "").expect("the provider runs").status == 200
    }

    /// Ends all that `user` granted, as an administrator of the provider does.
    pub(crate) fn end_grants(&self, user: &str) {
        http::get(&format!("{}/end?user={user}", self.issuer)).expect("the provider runs");
    }

    /// Whose grants were ended, or not continued because a refresh token was spent.
    pub(crate) fn ended(&self) -> Vec<String> {
        let answer = http::get(&format!("{}/ended", self.issuer)).expect("the provider runs");
        answer.body.lines().map(str::to_owned).collect()
    }

    /// Who the provider says this access token belongs to; `None` if it does not accept it.
    pub(crate) fn userinfo(&self, access_token: &str) -> Option<serde_json::Value> {
        let authorization = format!("Bearer {access_token}");
        let url = http::parse(&format!("{}/userinfo/", self.issuer));
        let answer = http::request("GET", &url, &[("Authorization", &authorization)], "").expect("the provider runs");
        (answer.status == 200).then(|| answer.json())
    }
}

impl Drop for Django {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
