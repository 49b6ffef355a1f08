//! What every command needs: the way to the daemon, and the way to say something in the form that was asked for.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tokenkeeper_client::blocking::Client;
use tokenkeeper_client::{DEFAULT_TIMEOUT, default_socket};

use crate::failure::Failure;
use crate::json;

/// The global options.
pub(crate) struct Context {
    pub(crate) socket: Option<PathBuf>,
    pub(crate) json: bool,
}

impl Context {
    pub(crate) fn connect(&self) -> Result<Client, Failure> {
        self.connect_within(DEFAULT_TIMEOUT)
    }

    /// Connects to a daemon that may take longer than usual for its answer.
    pub(crate) fn connect_within(&self, timeout: Duration) -> Result<Client, Failure> {
        let socket = self.socket.clone().unwrap_or_else(default_socket);
        Ok(Client::connect_within(&socket, timeout)?)
    }

    /// The answer: `text` for people, already safe for a terminal, or `object` if JSON was asked for.
    pub(crate) fn answer(&self, text: impl Display, object: &impl Serialize) -> Result<(), Failure> {
        if self.json { json::print(object) } else { say(text) }.map_err(Failure::Output)
    }

    /// Tells on standard error what went wrong, and gives the exit status that says the same.
    pub(crate) fn report(&self, failure: &Failure) -> u8 {
        if self.json {
            json::print_error(&failure.to_json());
        } else if let Some(text) = failure.to_text() {
            tell(text);
        }
        failure.exit_status()
    }
}

/// Writes to standard output.
fn say(text: impl Display) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    write!(out, "{text}")?;
    out.flush()
}

/// Writes a line to standard error: prompts, hints and complaints. One that cannot be written has no other way to the person.
pub(crate) fn tell(text: impl Display) {
    drop(writeln!(anstream::stderr(), "{text}"));
}
