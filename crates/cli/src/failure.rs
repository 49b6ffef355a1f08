//! What can go wrong in a command, as a sentence, a next step, a code and an exit status.

use std::fmt::Write;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokenkeeper_client::{Code, Error, Problem, ProviderName};

use crate::command::provider::SecretError;
use crate::escape::plain;
use crate::{exit, json};

/// How the daemon leads up to a command in a refusal.
const RUN_THIS: &str = ". Ask an administrator to run: ";

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Between here and the daemon, or in it.
    #[error("{error}")]
    Client {
        error: Error,
        /// The provider it is about, if the command line names it: next steps are shown with its name.
        provider: Option<ProviderName>,
    },
    /// A token that may not be printed as it is.
    #[error("the token holds characters that RFC 6749 does not allow; --json shows it with these escaped")]
    UnprintableToken,
    /// Standard output is closed or full.
    #[error("cannot write the answer: {0}")]
    Output(io::Error),
    /// A file that was asked for cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// A file that was named cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// The store left, and the file is not where it should be, or the daemon does not know that it is.
    #[error("{why}. The store is fenced, and nothing is served from it")]
    Fenced { why: String },
    /// Standard input or the terminal failed.
    #[error("cannot read what was typed or pasted: {0}")]
    Input(io::Error),
    /// The port is taken, or the system has no loopback.
    #[error("cannot listen on 127.0.0.1 port {port}: {source}; choose another port, or use --paste")]
    Listen { port: u16, source: io::Error },
    /// The flow expired before the browser came back.
    #[error("nobody came back from the browser in time; begin again")]
    LoginExpired,
    /// Not something the browser would have in its address bar after this login.
    #[error(
        "what was pasted is not the address that this login ends at; begin again and paste the whole address, from http:// to its end"
    )]
    WrongPaste,
    /// The daemon's authorize URL is none.
    #[error("the daemon gave an address that cannot be used for logging in; report it to its administrator")]
    BadAuthorizeUrl,
    /// Nothing would tell a callback of this login from one that somebody else sends.
    #[error(
        "this provider gives no state back, so nobody can safely log in to it here; log in through the service that uses it"
    )]
    NoState,
    /// A user on the command line whom this host does not know.
    #[error("this host knows no user {name:?}; a number works too")]
    UnknownUser { name: String },
    /// A client secret that was not stored.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Something that cannot be undone, and nobody to ask.
    #[error("this cannot be undone, and nobody is there to confirm it; run it in a terminal, or with --yes")]
    Unconfirmed,
    /// They said no.
    #[error("nothing was erased")]
    Declined,
    /// Ctrl-C at a prompt.
    #[error("interrupted")]
    Interrupted,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Client { error, provider: None }
    }
}

impl Failure {
    /// The same for a command that names a provider.
    pub(crate) fn at(error: Error, provider: Option<&ProviderName>) -> Self {
        Self::Client { error, provider: provider.cloned() }
    }

    /// The exit status that says what to do next.
    pub(crate) fn exit_status(&self) -> u8 {
        self.class().1
    }

    /// Whether the same may succeed in a moment.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Client { error: Error::Problem(problem), .. } => problem.code == Code::TryLater,
            Self::Client { error, .. } => {
                matches!(error, Error::Unreachable { .. } | Error::Disconnected | Error::TimedOut)
            }
            _ => false,
        }
    }

    /// How long the daemon said to wait, if it did.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.problem()?.retry_after_ms.map(|ms| Duration::from_millis(ms.into()))
    }

    /// What standard error says; nothing if nobody is there any more to read the answer either.
    pub(crate) fn to_text(&self) -> Option<String> {
        if matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            return None;
        }
        // A command to run stands on a line of its own, to be copied.
        let sentence = plain(&self.to_string()).replacen(RUN_THIS, ".\nAsk an administrator to run:\n  ", 1);
        let mut text = format!("tokenkeeper: {}{sentence}", self.label());
        if let Some(advice) = self.advice() {
            write!(text, "\n{advice}").ok();
        }
        if let Some(reference) = self.problem().and_then(|problem| problem.audit_reference.as_ref()) {
            write!(text, "\naudit reference: {}", plain(reference)).ok();
        }
        Some(text)
    }

    /// What standard error says with `--json`.
    pub(crate) fn to_json(&self) -> json::Problem {
        let (code, exit_status) = self.class();
        let plain = json::Problem::plain(code, &self.to_string(), exit_status);
        match self.problem() {
            Some(problem) => plain.with(problem),
            None => plain,
        }
    }

    fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Client { error: Error::Problem(problem), .. } => Some(problem),
            _ => None,
        }
    }

    /// The stable code and the exit status.
    fn class(&self) -> (&'static str, u8) {
        match self {
            Self::Client { error, .. } => match error {
                Error::Problem(problem) => (problem.code.name(), problem.code.exit_status()),
                Error::Unreachable { .. } => ("unreachable", exit::UNAVAILABLE),
                Error::PermissionDenied { .. } => ("socket_denied", exit::REFUSED),
                Error::WrongVersion { .. } => ("wrong_version", exit::PROTOCOL),
                Error::Disconnected => ("disconnected", exit::TRY_LATER),
                Error::TimedOut => ("timed_out", exit::TRY_LATER),
                Error::RequestTooLong | Error::InvalidName(_) => ("bad_request", exit::DATA),
                _ => ("protocol", exit::PROTOCOL),
            },
            Self::UnprintableToken | Self::BadAuthorizeUrl => ("protocol", exit::PROTOCOL),
            Self::Output(_)
            | Self::File { .. }
            | Self::Unreadable { .. }
            | Self::Fenced { .. }
            | Self::Input(_)
            | Self::Listen { .. } => ("io", exit::IO),
            Self::NoState => (Code::Unsupported.name(), Code::Unsupported.exit_status()),
            Self::LoginExpired => (Code::LoginFailed.name(), Code::LoginFailed.exit_status()),
            Self::WrongPaste | Self::UnknownUser { .. } => (Code::BadRequest.name(), exit::DATA),
            Self::Secret(error) => error.class(),
            Self::Unconfirmed => ("usage", exit::USAGE),
            Self::Declined | Self::Interrupted => ("interrupted", exit::INTERRUPTED),
        }
    }

    /// The code in words, in front of the sentence of a problem that does not begin with it.
    fn label(&self) -> String {
        let Some(problem) = self.problem() else { return String::new() };
        let label = match problem.code {
            Code::Denied => "refused: ".to_owned(),
            Code::Internal => "internal error: ".to_owned(),
            code => format!("{}: ", code.name().replace('_', " ")),
        };
        if problem.message.starts_with(label.trim_end_matches(": ")) { String::new() } else { label }
    }

    /// The command to run next, where there is one.
    fn advice(&self) -> Option<String> {
        if let Self::Fenced { .. } = self {
            return Some(
                "Take the file again, or have the store used here again:\n  tokenkeeper store move-out --output FILE\n  \
                 tokenkeeper store move-out --cancel"
                    .to_owned(),
            );
        }
        let Self::Client { error: Error::Problem(problem), provider } = self else { return None };
        match problem.code {
            Code::LoginRequired => {
                let told = problem.login_provider().and_then(|name| name.parse::<ProviderName>().ok());
                let provider = provider.as_ref().or(told.as_ref()).map_or("PROVIDER", ProviderName::as_str);
                let replaces = problem.session.map(|session| format!(" --replaces {session}")).unwrap_or_default();
                Some(format!("Log in again:\n  tokenkeeper login {provider}{replaces}"))
            }
            Code::Ambiguous => Some("They are listed by:\n  tokenkeeper sessions".to_owned()),
            // Most of what the daemon says of this ends in it.
            Code::TryLater if problem.message.contains("try again") => None,
            Code::TryLater => {
                let seconds = u64::from(problem.retry_after_ms?).div_ceil(1000);
                Some(format!("Try again in {seconds}s."))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(code: Code) -> Problem {
        Problem::new(code, "it is so")
    }

    fn text(problem: Problem) -> String {
        Failure::from(Error::Problem(problem)).to_text().unwrap()
    }

    #[test]
    fn a_refusal_says_who_to_ask_about_what() {
        let refusal = Problem { audit_reference: Some("r-5f2c9".to_owned()), ..problem(Code::Denied) };
        assert_eq!(text(refusal), "tokenkeeper: refused: it is so\naudit reference: r-5f2c9");
    }

    #[test]
    fn the_command_that_explains_a_refusal_stands_on_a_line_of_its_own() {
        let told = text(Problem::new(Code::Denied, "it is so. Ask an administrator to run: sudo it"));
        assert_eq!(told, "tokenkeeper: refused: it is so.\nAsk an administrator to run:\n  sudo it");
    }

    #[test]
    fn what_the_daemon_says_already_is_not_said_twice() {
        let told = text(Problem::new(Code::LoginRequired, "login required at corp: too old"));
        assert!(told.starts_with("tokenkeeper: login required at corp: too old\n"), "{told}");
    }

    #[test]
    fn a_lost_login_comes_with_the_command_that_mends_it() {
        let session = Some("7k3vq2mx".parse().unwrap());
        let error = || Error::Problem(Problem { session, ..problem(Code::LoginRequired) });
        let provider = "corp".parse().unwrap();
        let told = Failure::at(error(), Some(&provider)).to_text().unwrap();
        assert!(told.ends_with("\n  tokenkeeper login corp --replaces 7k3vq2mx"), "{told}");
        let told = Failure::at(error(), None).to_text().unwrap();
        assert!(told.ends_with("\n  tokenkeeper login PROVIDER --replaces 7k3vq2mx"), "{told}");
        let told = text(Problem { session, ..Problem::new(Code::LoginRequired, "login required at corp: too old") });
        assert!(told.ends_with("\n  tokenkeeper login corp --replaces 7k3vq2mx"), "{told}");
    }

    #[test]
    fn waiting_is_told_in_seconds() {
        let later = Problem { retry_after_ms: Some(39_001), ..problem(Code::TryLater) };
        assert_eq!(text(later), "tokenkeeper: try later: it is so\nTry again in 40s.");
    }

    #[test]
    fn what_a_provider_said_cannot_move_the_cursor() {
        let told = text(Problem::new(Code::LoginFailed, "no \u{1b}[2J\u{202e}way"));
        assert_eq!(told, "tokenkeeper: login failed: no \\u{1b}[2J\\u{202e}way");
    }

    #[test]
    fn a_socket_that_may_not_be_opened_counts_as_refused() {
        let failure = Failure::from(Error::PermissionDenied { path: "/run/x".into() });
        assert_eq!(failure.exit_status(), 77);
        let text = failure.to_text().unwrap();
        assert_eq!(text, "tokenkeeper: not allowed to open /run/x; ask an administrator for access to this socket");
    }

    #[test]
    fn a_reader_that_went_away_is_not_complained_about() {
        let failure = Failure::Output(io::ErrorKind::BrokenPipe.into());
        assert_eq!((failure.to_text(), failure.exit_status()), (None, exit::IO));
    }
}
