//! The test of a provider: whatever can be tried without a user, one step after the other.
//!
//! Invariant: it changes nothing. No session, no health, no cache of this daemon is touched, and no token of anybody is sent:
//! whether the provider accepts our client is told by what it says to a refresh token that never existed.

mod client;
mod document;
mod keys;

use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;
use tokenkeeper_protocol::reply::{ProviderStep, StepOutcome};
use tokio::sync::Mutex;

use super::answer::HttpAnswer;
use super::dialect::Dialect;
use super::metadata::{Metadata, Proof, Source, Untold};
use super::url::SafeUrl;
use super::{Fault, Place, Provider};
use crate::clock::Clock;

/// How long a report is given again instead of a new test: whoever may test cannot make the provider lock our client out.
const STANDS: Duration = Duration::from_secs(5);
/// ID tokens are accepted up to this far off.
const CLOCKS_DIFFER: Duration = Duration::from_mins(1);

/// The report that was made last. Its lock lets one test run at a time.
pub(super) type LastProbe = Mutex<Option<(UnixSeconds, Vec<ProviderStep>)>>;

impl Provider {
    /// Tries every step that needs no user. A step that needs one that failed is left out. Within five seconds the same report is
    /// given again.
    pub async fn probe(&self, clock: &Clock) -> Vec<ProviderStep> {
        let mut last = self.probed.lock().await;
        let now = clock.now();
        if let Some((at, steps)) = &*last
            && *at <= now
            && now.since(*at) < STANDS
        {
            return steps.clone();
        }
        let mut probe = Probe { provider: self, clock, steps: Vec::new() };
        probe.run().await;
        let steps = probe.steps;
        *last = Some((clock.now(), steps.clone()));
        steps
    }
}

/// A test that is under way.
struct Probe<'a> {
    provider: &'a Provider,
    clock: &'a Clock,
    steps: Vec<ProviderStep>,
}

/// How a step went, and in words what was found or what to do.
type Found = (StepOutcome, String);

fn passed(words: impl Into<String>) -> Found {
    (StepOutcome::Passed, words.into())
}

fn warned(words: impl Into<String>) -> Found {
    (StepOutcome::Warned, words.into())
}

fn failed(words: impl Into<String>) -> Found {
    (StepOutcome::Failed, words.into())
}

impl Probe<'_> {
    async fn run(&mut self) {
        let provider = self.provider;
        self.note("configuration", Duration::ZERO, client::configured(provider.settings()));
        match &provider.source {
            Source::Discovered { issuer, url, untold, .. } => {
                let Some(metadata) = self.discover(issuer, url, untold).await else { return };
                if let Some(Proof::Published(url)) = &metadata.proof {
                    self.keys(url).await;
                }
                self.client(&metadata).await;
            }
            Source::Fixed(metadata) => {
                // Nothing is meant to be read at a token endpoint; that it answers at all is what counts.
                if self.connect(Place::Token, &metadata.token).await.is_some() {
                    let endpoints = document::endpoints(metadata, None);
                    self.note("endpoints", Duration::ZERO, endpoints);
                    match provider.dialect {
                        Dialect::Standard => self.client(metadata).await,
                        Dialect::Custom(_) => self.note("client", Duration::ZERO, client::untried()),
                    }
                }
            }
        }
    }

    /// Connection, clock, discovery, endpoints and features.
    async fn discover(&mut self, issuer: &str, url: &SafeUrl, untold: &Untold) -> Option<Metadata> {
        let answer = self.connect(Place::Discovery, url).await?;
        let read = match answer {
            Ok(answer) => document::read(&answer, issuer),
            Err(fault) => Err(fault),
        };
        let (metadata, said) = match read {
            Ok(read) => read,
            Err(fault) if document::is_about_endpoints(&fault) => {
                self.note("discovery", Duration::ZERO, passed(format!("issuer {issuer}, as configured")));
                self.note("endpoints", Duration::ZERO, failed(format!("{fault}; nobody can log in without it")));
                return None;
            }
            Err(fault) => {
                self.note("discovery", Duration::ZERO, failed(document::mend(&fault, url)));
                return None;
            }
        };
        self.note("discovery", Duration::ZERO, passed(format!("issuer {issuer}, as configured")));
        let metadata = untold.complete(metadata);
        self.note("endpoints", Duration::ZERO, document::endpoints(&metadata, Some(&said)));
        self.note("features", Duration::ZERO, said.features(self.provider.settings()));
        Some(metadata)
    }

    /// Asks for `url`. Nothing if there is nobody, which ends the test; a fault of the answer is for the next step.
    async fn connect(&mut self, place: Place, url: &SafeUrl) -> Option<Result<HttpAnswer, Fault>> {
        let begun = self.clock.boot();
        let answer = self.provider.http.get(place, url, None, &self.provider.secrets, self.clock.now()).await;
        let took = self.clock.boot().saturating_sub(begun);
        let next = match &answer {
            Err(Fault::Dns { .. } | Fault::Tls { .. }) => "",
            Err(Fault::Connect { .. }) => "; check the address, and whether it takes a proxy to get there",
            Err(Fault::Timeout { .. } | Fault::Broken { .. }) => "; try again, and look at the provider's own state",
            _ => {
                let how = if url.url().scheme() == "https" {
                    "TLS, certificate accepted"
                } else {
                    "plain HTTP on this machine"
                };
                self.note("connection", took, passed(format!("{} ({how})", url.host())));
                if let Some(date) = answer.as_ref().ok().and_then(|answer| answer.date) {
                    self.note("clock", Duration::ZERO, compare(self.clock.now(), date));
                }
                return Some(answer);
            }
        };
        if let Err(fault) = answer {
            self.note("connection", took, failed(format!("{fault}{next}")));
        }
        None
    }

    async fn keys(&mut self, url: &SafeUrl) {
        let begun = self.clock.boot();
        let answer = self.provider.http.get(Place::Keys, url, None, &self.provider.secrets, self.clock.now()).await;
        let took = self.clock.boot().saturating_sub(begun);
        self.note("keys", took, keys::judge(answer));
    }

    async fn client(&mut self, metadata: &Metadata) {
        let begun = self.clock.boot();
        let found = client::accepted(self.provider, metadata, self.clock.now()).await;
        let took = self.clock.boot().saturating_sub(begun);
        self.note("client", took, found);
    }

    fn note(&mut self, name: &str, took: Duration, (outcome, detail): Found) {
        let milliseconds = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
        self.steps.push(ProviderStep { name: name.to_owned(), outcome, detail, milliseconds });
    }
}

/// Our clock beside that of the provider.
fn compare(here: UnixSeconds, there: UnixSeconds) -> Found {
    let (apart, which) = if here > there { (here.since(there), "ahead of") } else { (there.since(here), "behind") };
    let seconds = apart.as_secs();
    if apart <= CLOCKS_DIFFER {
        return passed(format!("{seconds} s apart"));
    }
    warned(format!(
        "the clock of this machine is {seconds} s {which} that of the provider; set it right (timedatectl), since tokens are judged by it"
    ))
}

#[cfg(test)]
mod tests;
