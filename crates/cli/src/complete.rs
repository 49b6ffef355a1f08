//! Live names for shell completion: asked of the daemon within the time a person does not notice, and never worth an error.
//!
//! Only names that a shell takes as they are: providers, accounts and references, and no names that users choose.

use std::sync::mpsc::channel;
use std::time::Duration;

use clap::CommandFactory;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::CompleteEnv;
use tokenkeeper_client::blocking::Client;
use tokenkeeper_client::{Error, SessionsRequest, default_socket};

use crate::arguments::Arguments;
use crate::escape::plain;

/// What a script sets to ask for completions. Not the library's `COMPLETE`, which an environment may hold for other reasons.
pub(crate) const VARIABLE: &str = "TOKENKEEPER_COMPLETE";

const PATIENCE: Duration = Duration::from_millis(300);

/// Does what a completion script asks for, and ends the process; returns if none does.
pub(crate) fn answer_shell() {
    CompleteEnv::with_factory(Arguments::command).var(VARIABLE).complete();
}

/// The providers one may know of.
pub(crate) fn providers() -> Vec<CompletionCandidate> {
    ask(|client| {
        let found = client.providers()?.providers;
        Ok(found.iter().map(|it| candidate(it.status.provider.as_str(), &it.issuer)).collect())
    })
}

/// The sessions one may see: the first page of them is more than anybody reads.
pub(crate) fn sessions() -> Vec<CompletionCandidate> {
    ask(|client| {
        let found = client.sessions(SessionsRequest::default())?.sessions;
        let about = |it: &tokenkeeper_client::reply::SessionSummary| format!("{} at {}", it.user.as_str(), it.provider);
        Ok(found.iter().map(|it| candidate(it.session.as_str(), &about(it))).collect())
    })
}

/// The service accounts one may know of.
pub(crate) fn accounts() -> Vec<CompletionCandidate> {
    ask(|client| {
        let found = client.providers()?.providers;
        let of = |it: &tokenkeeper_client::reply::ProviderView| {
            let provider = it.status.provider.clone();
            it.accounts.iter().map(move |name| candidate(name.as_str(), provider.as_str())).collect::<Vec<_>>()
        };
        Ok(found.iter().flat_map(of).collect())
    })
}

fn candidate(name: &str, about: &str) -> CompletionCandidate {
    CompletionCandidate::new(name).help(Some(plain(about).into()))
}

/// Nothing, if the daemon is not there, not willing or not quick.
fn ask(
    what: impl FnOnce(&mut Client) -> Result<Vec<CompletionCandidate>, Error> + Send + 'static,
) -> Vec<CompletionCandidate> {
    let (tell, told) = channel();
    // The thread may outlast the wait; it ends with the process.
    std::thread::spawn(move || {
        let found = Client::connect_within(&default_socket(), PATIENCE).and_then(|mut client| what(&mut client));
        tell.send(found.unwrap_or_default()).ok();
    });
    told.recv_timeout(PATIENCE).unwrap_or_default()
}
