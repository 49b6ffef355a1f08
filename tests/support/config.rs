//! Configuration files for daemons under test.

use std::fmt::Write;

/// The client secret of every provider in the tests, and as such a canary.
pub(crate) const CLIENT_SECRET: &str = "shop-secret-PCtkfPSzVYBU";

/// What a person may usually do with their own sessions.
pub(crate) const EVERYTHING: &[&str] = &["login", "token", "list", "logout", "status"];

/// One configuration. Tests change what they are about; the rest is sensible.
#[derive(Clone)]
pub(crate) struct Config {
    /// `[provider.NAME]` tables.
    pub(crate) providers: Vec<Provider>,
    /// `[[allow]]` tables.
    pub(crate) rules: Vec<Rule>,
    /// More lines of `[daemon]`.
    pub(crate) daemon: Vec<String>,
    /// Lines of `[schedule]`.
    pub(crate) schedule: Vec<String>,
    /// `[audit] target`, if not the receiver that every [`Home`](super::Home) has.
    pub(crate) audit: Option<String>,
    /// Anything else, word for word.
    pub(crate) more: String,
}

#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    /// More lines of the table.
    pub(crate) lines: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Rule {
    pub(crate) who: String,
    pub(crate) may: Vec<String>,
    pub(crate) provider: String,
    pub(crate) sessions: &'static str,
}

impl Config {
    /// No provider and no rule.
    pub(crate) fn empty() -> Self {
        Self { providers: vec![], rules: vec![], daemon: vec![], schedule: vec![], audit: None, more: String::new() }
    }

    /// `corp` at `issuer`, where whoever runs the tests may do everything with their own sessions.
    pub(crate) fn corp(issuer: &str) -> Self {
        Self::empty().provider("corp", issuer).rule(&me(), EVERYTHING, "corp", "own")
    }

    pub(crate) fn provider(mut self, name: &str, issuer: &str) -> Self {
        let (name, issuer) = (name.to_owned(), issuer.to_owned());
        self.providers.push(Provider { name, issuer, client_id: "shop".to_owned(), lines: vec![] });
        self
    }

    /// One more line for the provider that was added last.
    pub(crate) fn with(mut self, line: &str) -> Self {
        self.providers.last_mut().expect("a provider was added before").lines.push(line.to_owned());
        self
    }

    pub(crate) fn rule(mut self, who: &str, may: &[&str], provider: &str, sessions: &'static str) -> Self {
        let may = may.iter().map(|&action| action.to_owned()).collect();
        self.rules.push(Rule { who: who.to_owned(), may, provider: provider.to_owned(), sessions });
        self
    }

    pub(crate) fn without_rules(mut self) -> Self {
        self.rules.clear();
        self
    }

    pub(crate) fn daemon(mut self, line: &str) -> Self {
        self.daemon.push(line.to_owned());
        self
    }

    pub(crate) fn schedule(mut self, line: &str) -> Self {
        self.schedule.push(line.to_owned());
        self
    }

    pub(crate) fn audit(mut self, target: &str) -> Self {
        self.audit = Some(target.to_owned());
        self
    }

    pub(crate) fn more(mut self, text: &str) -> Self {
        self.more.push_str(text);
        self
    }

    /// Providers and rules as they stand in a file of `conf.d`.
    pub(crate) fn to_toml(&self, secret_file: &str) -> String {
        let mut text = String::new();
        for Provider { name, issuer, client_id, lines } in &self.providers {
            let _ = write!(
                text,
                "[provider.{name}]\nissuer = {issuer:?}\nclient_id = {client_id:?}\nredirect_uris = [\"loopback\"]\n\
                 scopes = [\"openid\", \"profile\", \"email\", \"offline_access\"]\n"
            );
            if !lines.iter().any(|line| line.starts_with("client_secret")) && client_id != "shop-public" {
                let _ = writeln!(text, "client_secret = {{ file = {secret_file:?} }}");
            }
            for line in lines {
                let _ = writeln!(text, "{line}");
            }
            text.push('\n');
        }
        for Rule { who, may, provider, sessions } in &self.rules {
            let _ = write!(
                text,
                "[[allow]]\nwho = {who:?}\nmay = {may:?}\nprovider = {provider:?}\nsessions = {sessions:?}\n\n"
            );
        }
        text + &self.more
    }
}

/// Whoever runs the tests, as a rule names them.
pub(crate) fn me() -> String {
    let uid = nix::unistd::Uid::effective();
    match nix::unistd::User::from_uid(uid) {
        Ok(Some(user)) => format!("user:{}", user.name),
        _ => format!("user:{uid}"),
    }
}
