//! The real command line.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::Home;

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct CliResult {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for CliResult {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl CliResult {
    /// What it printed on stdout, if it succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.status, 0, "the command failed: {self:#?}");
        self.stdout.trim_end().to_owned()
    }

    /// The same, as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"))
    }

    /// What it printed on stderr, if it failed in this way. A failure is one clear message, and stdout stays empty for it.
    #[track_caller]
    pub(crate) fn fails_with(self, status: i32) -> String {
        assert_eq!(self.status, status, "another end was expected: {self:#?}");
        assert_eq!(self.stdout, "", "a failure prints nothing on stdout");
        assert!(!self.stderr.trim().is_empty(), "a failure says what is wrong");
        self.stderr
    }
}

impl Home {
    /// Runs `tokenkeeper` with these arguments.
    pub(crate) fn cli<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> CliResult {
        let output = self.cli_command().args(arguments).output();
        output.expect("tokenkeeper can be run").into()
    }

    /// `tokenkeeper` as a command that is not running yet.
    pub(crate) fn cli_command(&self) -> Command {
        let mut command = Command::new(tokenkeeper());
        command.env_clear().env("PATH", "/usr/bin:/bin").env("TOKENKEEPER_SOCKET", self.socket()).stdin(Stdio::null());
        command
    }

    /// Runs `tokenkeeper` as another user. Only root can do that.
    pub(crate) fn cli_as(&self, uid: u32, arguments: &[&str]) -> CliResult {
        use std::os::unix::process::CommandExt;
        // Where the build is, other users may not be able to look.
        let copy = self.path("tokenkeeper");
        if !copy.exists() {
            std::fs::copy(tokenkeeper(), &copy).expect("the home has room for a program");
        }
        let mut command = Command::new(&copy);
        command.env_clear().env("TOKENKEEPER_SOCKET", self.socket()).current_dir("/").uid(uid).gid(uid);
        command.stdin(Stdio::null()).args(arguments).output().expect("root can become another user").into()
    }

    /// Returns when the newest token has lost at least a second of its life.
    #[expect(clippy::unused_self, reason = "it is the home's tokens that age")]
    pub(crate) fn age_token(&self) {
        let start = super::deadline::unix_seconds();
        while super::deadline::unix_seconds() < start + 2 {
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
    }

    /// The access token of the only session at `corp`.
    #[track_caller]
    pub(crate) fn token(&self) -> String {
        self.cli(["token", "corp"]).ok()
    }

    /// The sessions that the command line lists.
    #[track_caller]
    pub(crate) fn sessions(&self) -> Vec<serde_json::Value> {
        self.cli(["--json", "sessions"]).json()["sessions"].as_array().expect("a list of sessions").clone()
    }
}

/// The program, beside the daemon that Cargo built for this test.
pub(crate) fn tokenkeeper() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_tokenkeeperd")).with_file_name("tokenkeeper");
    assert!(path.exists(), "{} is not there: run `cargo build --workspace` first (`make test` does)", path.display());
    path
}
