//! Login with a code (RFC 8628): the person types it on another device, and the daemon asks the provider until they have.
//!
//! Nothing here is needed for the login to succeed: who interrupts the waiting finds the session all the same.

use std::io::stderr;
use std::time::Duration;

use terminal_size::{Width, terminal_size_of};
use tokenkeeper_client::reply::{DeviceBegun, LoggedIn};
use tokenkeeper_client::{Code, DeviceBegin, DeviceWait, Error, ProviderName};

use crate::clock::{self, Deadline};
use crate::context::{Context, tell};
use crate::escape::plain;
use crate::failure::Failure;
use crate::json;
use crate::moment::Calendar;
use crate::progress::Progress;
use crate::qr;

/// How long one request waits. Often enough to show how time goes by, and to notice a daemon that was restarted.
const ROUND: Duration = Duration::from_secs(5);
/// Before asking a daemon again that is not there, or that says that it is too early.
const PAUSE: Duration = Duration::from_millis(500);
/// A daemon that is asked for so long after the code has expired knows what became of it.
const LAST_ANSWER: Duration = Duration::from_secs(60);

/// A login that was begun.
pub(crate) struct Login<'a> {
    context: &'a Context,
    provider: &'a ProviderName,
    begun: DeviceBegun,
}

impl<'a> Login<'a> {
    pub(crate) fn begin(
        context: &'a Context,
        provider: &'a ProviderName,
        request: DeviceBegin,
    ) -> Result<Self, Failure> {
        let begun = context.connect()?.device_begin(request);
        Ok(Self { context, provider, begun: begun.map_err(|error| Failure::at(error, Some(provider)))? })
    }

    /// Says what the person has to do.
    pub(crate) fn show(&self) {
        if self.context.json {
            json::print_note(&tokenkeeper_protocol::json::DeviceBegun::from(&self.begun));
            return;
        }
        let DeviceBegun { user_code, verification_uri, verification_uri_complete, expires_at, .. } = &self.begun;
        tell(format_args!(
            "To log in to {}, open this address in a browser on any device, and type the code:\n\n  {}\n  {}\n",
            self.provider,
            plain(verification_uri),
            plain(user_code.expose())
        ));
        let complete = verification_uri_complete.as_ref().map_or(verification_uri.as_str(), |uri| uri.expose());
        for line in columns().and_then(|columns| qr::lines(complete, columns)).unwrap_or_default() {
            tell(qr::black_on_white(&line));
        }
        tell(format_args!(
            "The code is good until {}. You may press Ctrl-C: the login goes on, and `tokenkeeper sessions` shows what came of it.",
            Calendar::here().brief(*expires_at)
        ));
    }

    /// Waits until the person has logged in, or cannot any more. A daemon that is restarted meanwhile is waited for too.
    pub(crate) fn wait(&self) -> Result<LoggedIn, Failure> {
        let deadline = Deadline::after(self.begun.expires_at.since(clock::now()) + LAST_ANSWER);
        let mut progress = Progress::on_stderr(!self.context.json);
        loop {
            let left = Calendar::here().left(self.begun.expires_at).unwrap_or_else(|| "0s".to_owned());
            progress.show(&format!("Waiting until you have logged in ({left} left) ..."));
            match self.wait_a_while() {
                Err(failure) if failure.may_pass() && deadline.left().is_some() => clock::pause(PAUSE),
                settled => return settled,
            }
        }
    }

    fn wait_a_while(&self) -> Result<LoggedIn, Failure> {
        let timeout_ms = u32::try_from(ROUND.as_millis()).ok();
        let request = DeviceWait { login_id: self.begun.login_id, timeout_ms };
        self.context.connect()?.device_wait(request).map_err(|error| Failure::at(error, Some(self.provider)))
    }
}

/// Why no code is to be had, if it is not worth another try: the daemon or the provider knows no such login.
pub(crate) fn not_offered(failure: &Failure) -> Option<&str> {
    match failure {
        Failure::Client { error: Error::Problem(problem), .. } => {
            matches!(problem.code, Code::Unsupported | Code::Misconfigured).then_some(problem.message.as_str())
        }
        _ => None,
    }
}

/// How wide the terminal is. None without one, or where no colours are wanted: without them the code may be inside out.
fn columns() -> Option<usize> {
    let plain = anstream::AutoStream::choice(&stderr()) == anstream::ColorChoice::Never;
    let (Width(columns), _) = terminal_size_of(stderr()).filter(|_| !plain)?;
    Some(columns.into())
}
