//! What the table is made of.

use tokenkeeper_protocol::Code;

use super::local::Seen;
use crate::support::{Fault, Lie, Tls};

/// A fault: what it means, what to do, and every way that it shows.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) means: &'static str,
    pub(super) next: &'static str,
    pub(super) rows: Vec<Row>,
}

/// During what the fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// `tokenkeeper login` needs the discovery document.
    Begin,
    /// The browser is back, and the code is exchanged for tokens.
    Exchange,
    /// The tokens are there, and their ID token is verified or userinfo asked.
    Identify,
    /// `tokenkeeper login --code`, whose code alice types at once.
    Code,
    /// The daemon asks for the token of a service account, and `tokenkeeper token --account` wants it.
    Account,
    /// `tokenkeeper token` needs a refresh.
    Refresh,
    /// `tokenkeeper logout` revokes.
    Logout,
    /// Without any provider.
    Here,
    /// The same, where only root can bring it about.
    AsRoot,
}

/// How the fault is brought about.
#[derive(Clone)]
pub(super) enum How {
    /// The provider does this with the request that it is about.
    Does(Fault),
    /// The provider does this with a request at this path.
    At(&'static str, Fault),
    /// The provider does this when it is asked for its discovery document, before anything else happens.
    Discovers(Fault),
    /// The provider says something that is not so.
    Lies(Lie),
    /// Nobody listens there any more.
    Down,
    /// The provider is reached by TLS, which fails in this way.
    Tls(Tls),
    /// The provider is configured to be here.
    Issuer(&'static str),
    /// On this machine.
    Here(fn() -> Seen),
}

/// What is compared of a session that exists in spite of the fault.
#[derive(Clone, Copy)]
pub(super) enum Kept {
    /// How many seconds its access token lives.
    Life(i64),
    /// The granted scopes.
    Scope(&'static str),
    /// How the token is presented.
    TokenType(&'static str),
}

/// One way that a fault shows: how it is brought about, and everything that can be noticed of it.
#[derive(Clone)]
pub(super) struct Row {
    /// What happens, for people.
    pub(super) what: &'static str,
    pub(super) when: When,
    pub(super) how: How,
    /// More lines in the provider's table of the configuration.
    pub(super) config: &'static [&'static str],
    /// In front of the sentence: the code in words.
    pub(super) label: &'static str,
    /// What is said, as a [template](super::template).
    pub(super) sentence: String,
    /// What follows on lines of its own.
    pub(super) advice: &'static str,
    /// The exit status of the program that says it.
    pub(super) exit: i32,
    /// The code on the wire, if it comes from a running daemon.
    pub(super) code: Option<Code>,
    /// The event, and fields of it as templates.
    pub(super) audit: Option<(&'static str, Vec<(&'static str, &'static str)>)>,
    pub(super) kept: Option<Kept>,
}

impl Row {
    /// A row that ends as it is told by the functions below.
    pub(super) fn new(what: &'static str, when: When, how: How, end: End) -> Self {
        let End { label, sentence, advice, exit, code } = end;
        let failed = exit != 0;
        let audit = match when {
            When::Begin | When::Code | When::Here | When::AsRoot => None,
            When::Exchange | When::Identify if failed => {
                Some(("login_failed", vec![("provider", "{provider}"), ("why", "{sentence}")]))
            }
            When::Exchange | When::Identify => {
                Some(("login_completed", vec![("provider", "{provider}"), ("session", "{session}"), ("user", "alice")]))
            }
            When::Refresh | When::Account if failed => Some((
                "refresh_failed",
                vec![
                    ("provider", "{provider}"),
                    ("session", "{session}"),
                    ("why", "{cause}"),
                    ("needs_login", if code == Some(Code::LoginRequired) { "true" } else { "false" }),
                ],
            )),
            When::Refresh | When::Account => {
                Some(("refresh_done", vec![("provider", "{provider}"), ("session", "{session}")]))
            }
            When::Logout => Some(("revoked", vec![("provider", "{provider}"), ("session", "{session}")])),
        };
        Self { what, when, how, config: &[], label, sentence, advice, exit, code, audit, kept: None }
    }

    pub(super) fn with(self, config: &'static [&'static str]) -> Self {
        Self { config, ..self }
    }

    pub(super) fn keeps(self, kept: Kept) -> Self {
        Self { kept: Some(kept), ..self }
    }

    /// Another event than usual.
    pub(super) fn audits(self, event: &'static str, fields: &[(&'static str, &'static str)]) -> Self {
        Self { audit: Some((event, fields.to_vec())), ..self }
    }

    /// The event of a login that failed, where a row is not usually audited so.
    pub(super) fn audits_failed_login(self) -> Self {
        self.audits("login_failed", &[("provider", "{provider}"), ("why", "{sentence}")])
    }

    /// The same event as usual, with one more field.
    pub(super) fn tells(mut self, field: &'static str, value: &'static str) -> Self {
        if let Some((_, fields)) = &mut self.audit {
            fields.push((field, value));
        }
        self
    }
}

/// How a command ends.
pub(super) struct End {
    label: &'static str,
    sentence: String,
    pub(super) advice: &'static str,
    exit: i32,
    code: Option<Code>,
}

impl End {
    /// The same, with this on a line of its own.
    pub(super) fn advises(self, advice: &'static str) -> Self {
        Self { advice, ..self }
    }
}

/// A refusal of the daemon that nothing is to be added to.
pub(super) fn refused(code: Code, label: &'static str, sentence: &str) -> End {
    End { label, sentence: sentence.to_owned(), advice: "", exit: code.exit_status().into(), code: Some(code) }
}

/// The provider cannot be used for now, because of this.
pub(super) fn later(why: &str) -> End {
    let sentence = format!("{{provider}} cannot be used at the moment: {why}; try again in {{n}} s");
    refused(Code::TryLater, "try later: ", &sentence)
}

/// The provider cannot be used until somebody changes something.
pub(super) fn misconfigured(why: &str) -> End {
    let sentence =
        format!("{{provider}} does not work as it is configured: {why}; an administrator has to correct that");
    refused(Code::Misconfigured, "misconfigured: ", &sentence)
}

/// What is left of those sentences, and of [`login_required`]'s, in an event that names the provider beside it.
pub(super) fn cause(sentence: &str) -> &str {
    let (_, later) = sentence.split_once(" cannot be used at the moment: ").unwrap_or_default();
    let login = sentence.strip_prefix("login required at ").and_then(|rest| rest.split_once(": "));
    let later = later.rsplit_once("; try again in ").map(|(why, _)| why);
    later.or(login.map(|(_, why)| why)).unwrap_or(sentence)
}

/// This login came to nothing.
pub(super) fn failed(why: &str) -> End {
    refused(Code::LoginFailed, "", &format!("login failed: {why}; begin a new login"))
}

/// Only a new login helps.
pub(super) fn login_required(why: &str) -> End {
    let advice = "Log in again:\n  tokenkeeper login {provider} --replaces {session}";
    End { advice, ..refused(Code::LoginRequired, "", &format!("login required at {{provider}}: {why}")) }
}

/// It works all the same, and this is printed.
pub(super) fn works(says: &str) -> End {
    End { label: "", sentence: says.to_owned(), advice: "", exit: 0, code: None }
}

/// The program itself gives up, with nobody to ask.
pub(super) fn gives_up(exit: i32, sentence: &str) -> End {
    End { label: "", sentence: sentence.to_owned(), advice: "", exit, code: None }
}

pub(super) const LOGGED_IN: &str = "Logged in to {provider} as alice (session {session}, ends {date}).";
/// A token, which is not shown here.
pub(super) const TOKEN: &str = "{token}";
