//! The three real providers of the day, each behind a network that can be cut, and each with a directory that outlives it.

use std::collections::BTreeSet;
use std::net::TcpListener;

use crate::support::browser::Browser;
use crate::support::cognito::Cognito;
use crate::support::wire::CALLBACK;
use crate::support::{Django, Proxy, RealProvider};

/// Seconds that access tokens live while people log in, and from then on.
pub(super) const FIRST_LIFE: u32 = 3600;
const LIFE: u32 = 10;
/// Seconds that the one in the middle takes a spent refresh token again.
const GRACE: u32 = 120;

/// What a provider is, and how it treats refresh tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// oidc-provider: each is spent once; to send a spent one again ends the grant.
    Strict,
    /// django-oauth-toolkit: each is spent once, but is taken again for a while; the old access token dies at once.
    Grace,
    /// cognito-local, in its own dialect: they stay.
    Stays,
}

enum Running {
    Strict(RealProvider),
    Grace(Django),
    Stays(Cognito),
}

/// One provider, in whichever of its lives.
pub(super) struct Peer {
    pub(super) kind: Kind,
    pub(super) network: Proxy,
    directory: tempfile::TempDir,
    access_life: u32,
    /// Where it listens, if it has to be the same in every life.
    port: String,
    running: Option<Running>,
}

impl Peer {
    pub(super) fn start(kind: Kind) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
        let (network, directory) = (Proxy::start(), tempfile::tempdir().unwrap());
        let mut this =
            Self { kind, network, directory, access_life: FIRST_LIFE, port: free.port().to_string(), running: None };
        this.revive();
        this
    }

    /// What the configuration calls it.
    pub(super) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Strict => "strict",
            Kind::Grace => "grace",
            Kind::Stays => "stays",
        }
    }

    pub(super) fn words(&self) -> &'static str {
        match self.kind {
            Kind::Strict => "oidc-provider, rotating, no grace",
            Kind::Grace => "django-oauth-toolkit, rotating, 120 s of grace",
            Kind::Stays => "cognito-local, refresh tokens that stay",
        }
    }

    /// From now on tokens live for ten seconds.
    pub(super) fn hurry(&mut self) {
        self.kill();
        self.access_life = LIFE;
        self.revive();
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        self.running = None;
    }

    /// Another life at the same data.
    pub(super) fn revive(&mut self) {
        let (directory, url) = (self.directory.path().to_str().unwrap(), self.network.url.as_str());
        let running = match self.kind {
            Kind::Strict => {
                let more = ["--rotate", "--directory", directory, "--issuer", url];
                Running::Strict(RealProvider::start(self.access_life, &more))
            }
            Kind::Grace => {
                let grace = GRACE.to_string();
                let more = ["--grace", &grace, "--directory", directory, "--issuer", url];
                Running::Grace(Django::start_with(self.access_life, &more))
            }
            Kind::Stays => {
                let life = self.access_life.to_string();
                let more = ["--access-life", &life, "--directory", directory, "--port", &self.port];
                Running::Stays(Cognito::start_with(&more))
            }
        };
        self.network.lead_to(match &running {
            Running::Strict(provider) => &provider.issuer,
            Running::Grace(provider) => &provider.issuer,
            Running::Stays(provider) => &provider.url,
        });
        self.running = Some(running);
    }

    /// `[provider.NAME]`, with these lines more.
    pub(super) fn table(&self, secret_file: &str, more: &str) -> String {
        let (name, url) = (self.name(), &self.network.url);
        let shop = format!(
            "[provider.{name}]\nissuer = {url:?}\nclient_id = \"shop\"\nclient_secret = {{ file = {secret_file:?} }}\n\
             redirect_uris = [\"loopback\"]\nscopes = [\"openid\", \"profile\"]\n{more}\n"
        );
        match self.running() {
            Running::Strict(_) => shop,
            Running::Grace(_) => {
                format!("{shop}reuse_grace = \"{GRACE}s\"\nrevocation_endpoint = \"{url}/revoke_token/\"\n")
            }
            Running::Stays(cognito) => {
                let (first, tables) = cognito.described(name, url, "").split_once("\nkind").map(owned).unwrap();
                format!("{first}\n{more}\nkind{tables}")
            }
        }
    }

    /// What user `number` is called there.
    pub(super) fn user(&self, number: usize) -> String {
        match self.kind {
            Kind::Strict | Kind::Grace => format!("user{number}"),
            Kind::Stays => format!("user{number}@corp.example"),
        }
    }

    /// Logs in at the page that `authorize_url` leads to; returns where the browser is sent back to.
    pub(super) fn log_in(&self, user: &str, authorize_url: &str) -> String {
        match self.running() {
            Running::Strict(_) | Running::Grace(_) => Browser::default().log_in_until(authorize_url, user, CALLBACK),
            Running::Stays(cognito) => {
                cognito.add_user(user);
                cognito.log_in_as(user, authorize_url)
            }
        }
    }

    /// Whether an API of the provider would take this token.
    pub(super) fn accepts(&self, access_token: &str) -> bool {
        match self.running() {
            Running::Strict(provider) => provider.is_active(access_token),
            Running::Grace(provider) => provider.accepts(access_token),
            Running::Stays(provider) => provider.accepts(access_token),
        }
    }

    /// Ends all that a user granted, as an administrator there does.
    pub(super) fn end_grants(&self, user: &str) {
        match self.running() {
            Running::Strict(provider) => provider.end_grants(user),
            Running::Grace(provider) => provider.end_grants(user),
            Running::Stays(provider) => provider.delete(user),
        }
    }

    /// Which of these users' grants the provider itself says that it ended, or does not continue.
    pub(super) fn ended<'a>(&self, users: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
        let said: BTreeSet<_> = match self.running() {
            Running::Strict(provider) => provider.ended().into_iter().collect(),
            Running::Grace(provider) => provider.ended().into_iter().collect(),
            Running::Stays(provider) => return users.filter(|user| !provider.knows(user)).cloned().collect(),
        };
        users.filter(|user| said.contains(*user)).cloned().collect()
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("nobody asks a provider that was stopped")
    }
}

fn owned((first, second): (&str, &str)) -> (String, String) {
    (first.to_owned(), second.to_owned())
}
