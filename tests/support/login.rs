//! Logins as people do them: the command line in one hand, a browser in the other.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use super::browser::Browser;
use super::{CliResult, Home};

/// `tokenkeeper login`, waiting for the browser to come back.
pub(crate) struct PendingLogin {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    said: String,
    /// The address that it asks the user to open.
    pub(crate) url: String,
}

impl Home {
    /// Logs `user` in at `corp` and returns the reference of the session.
    #[track_caller]
    pub(crate) fn login(&self, user: &str) -> String {
        self.login_with(user, &[])
    }

    /// The same, with more arguments for the command line.
    #[track_caller]
    pub(crate) fn login_with(&self, user: &str, arguments: &[&str]) -> String {
        let pending = self.begin_login(arguments);
        let page = Browser::default().log_in(&pending.url, user);
        assert_eq!(page.status, 200, "the way back from the login: {page:?}");
        let answer = pending.finish().json();
        answer["session"].as_str().unwrap_or_else(|| panic!("no session in {answer}")).to_owned()
    }

    /// Starts `tokenkeeper login corp` and waits for the address it prints.
    pub(crate) fn begin_login(&self, arguments: &[&str]) -> PendingLogin {
        let mut command = self.cli_command();
        command.args(["--json", "login", "corp"]).args(arguments);
        if !arguments.contains(&"--paste") {
            command.arg("--no-browser");
        }
        PendingLogin::start(command)
    }
}

impl PendingLogin {
    /// Starts a command that logs in and waits for the address it prints.
    pub(crate) fn start(mut command: Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("tokenkeeper can be run");
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut said = String::new();
        let url = loop {
            let start = said.len();
            if stderr.read_line(&mut said).unwrap_or(0) == 0 {
                let status = child.wait().expect("a child can be waited for");
                panic!("`tokenkeeper login` ended ({status}) without an address to open: {said}");
            }
            let address =
                said[start..].split_whitespace().find(|word| word.starts_with("http") && word.contains("state="));
            if let Some(url) = address {
                break url.to_owned();
            }
        };
        Self { child, stderr, said, url }
    }

    /// Types `text` where the command asks for the address of the last page.
    pub(crate) fn paste(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().expect("stdin is piped");
        writeln!(stdin, "{text}").expect("the command waits for input");
    }

    /// Waits for the end of the command.
    pub(crate) fn finish(mut self) -> CliResult {
        drop(self.child.stdin.take());
        let mut stdout = String::new();
        self.child.stdout.take().expect("stdout is piped").read_to_string(&mut stdout).expect("it prints UTF-8");
        self.stderr.read_to_string(&mut self.said).expect("it prints UTF-8");
        let status = self.child.wait().expect("a child can be waited for").code().unwrap_or(-1);
        CliResult { status, stdout, stderr: std::mem::take(&mut self.said) }
    }
}

impl Drop for PendingLogin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
