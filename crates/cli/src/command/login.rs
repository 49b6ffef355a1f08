//! `tokenkeeper login`: a person logs in with a browser, here (loopback) or anywhere (a code, or paste).
//!
//! The daemon makes the authorize URL and judges what comes back; `state` never stands in an argument of a process.

use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use tokenkeeper_client::reply::{LoggedIn, LoginBegun};
use tokenkeeper_client::{DeviceBegin, LoginBegin, LoginComplete, ProviderName, Secret, SessionRef};
use tokenkeeper_protocol::{json, span};

use crate::clock::Deadline;
use crate::context::{Context, tell};
use crate::escape::plain;
use crate::failure::Failure;
use crate::loopback::{AuthorizeUrl, Loopback, Outcome};
use crate::moment::Calendar;
use crate::{browser, clock, complete, device, paste};

/// Completing a login takes the daemon several requests to the provider, and each may take a while.
const COMPLETION_TIMEOUT: Duration = Duration::from_secs(90);
/// Between the first two tries to complete a login. It doubles with each, unless the daemon says to wait longer.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

const EXAMPLES: &str = "\
Examples:
  tokenkeeper login corp
  tokenkeeper login corp --device laptop --scope openid --scope mail
  tokenkeeper login corp --paste                  over SSH, with the browser at hand
  tokenkeeper login corp --replaces 7k3vq2mx      log in again, and keep the session's reference

Exit status: 0 logged in, 4 no such provider, 6 login failed, 65 a wrong address was pasted, 69 daemon not reachable,
74 the loopback port is taken, 75 try again later, 77 refused, 78 wrong configuration.";

/// Log in at a provider
///
/// Opens the login page in your browser and waits on a loopback address until you are back.
///
/// On a machine without a browser, such as over SSH, it shows a code to type into a browser on another device, if the provider
/// offers that. With --paste, log in with any browser, then paste the address it ends at.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Login {
    /// Where to log in
    #[arg(add = ArgValueCandidates::new(complete::providers))]
    provider: ProviderName,

    /// Log in with a browser on another device, by a code to type there [default without a browser here]
    #[arg(long, conflicts_with_all = ["paste", "port", "no_browser", "hint"])]
    code: bool,

    /// Log in with a browser on any machine, and paste the address that it ends at
    #[arg(long, conflicts_with = "no_browser")]
    paste: bool,

    /// The loopback port the browser comes back to, for providers that want a fixed one [default: any]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Show the address of the login page instead of opening it
    #[arg(long)]
    no_browser: bool,

    /// How long to try again if the provider cannot be used when you come back from it [default: as long as the login is good]
    #[arg(long, value_name = "SPAN", value_parser = span::parse, conflicts_with = "code")]
    timeout: Option<Duration>,

    /// What you call the device the session is on
    #[arg(long, value_name = "NAME")]
    device: Option<String>,

    /// A scope to ask for; repeat it for more [default: those of the configuration]
    #[arg(long = "scope", value_name = "S")]
    scopes: Vec<String>,

    /// Whom the login page should suggest
    #[arg(long = "login-hint", value_name = "X")]
    hint: Option<String>,

    /// The session that this login renews; it keeps its reference
    #[arg(long, value_name = "REF", add = ArgValueCandidates::new(complete::sessions))]
    replaces: Option<SessionRef>,
}

impl Login {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let user = if self.paste {
            self.with_any_browser(context)
        } else if self.code {
            self.with_a_code(context)
        } else if self.is_about_this_browser() || browser::can_open(|name| std::env::var_os(name)) {
            self.with_this_browser(context)
        } else {
            self.without_a_browser(context)
        }?;
        let calendar = Calendar::here();
        let text = format!(
            "Logged in to {} as {} (session {}, ends {}).\n",
            user.provider,
            plain(user.user.name.as_str()),
            user.session,
            calendar.date(user.ends_at)
        );
        context.answer(text, &json::LoggedIn::from(&user))?;
        Ok(0)
    }

    /// Whether it says something that only means anything to a browser on this machine.
    fn is_about_this_browser(&self) -> bool {
        self.no_browser || self.port.is_some() || self.hint.is_some()
    }

    fn with_a_code(&self, context: &Context) -> Result<LoggedIn, Failure> {
        let login = self.begin_with_a_code(context)?;
        login.show();
        login.wait()
    }

    /// With a code, or as with a browser if there is no such thing.
    fn without_a_browser(&self, context: &Context) -> Result<LoggedIn, Failure> {
        match self.begin_with_a_code(context) {
            Ok(login) => {
                login.show();
                login.wait()
            }
            Err(failure) => {
                let why = device::not_offered(&failure).map(plain);
                let Some(why) = why else { return Err(failure) };
                tell(format_args!("No login with a code: {why}"));
                self.with_this_browser(context)
            }
        }
    }

    fn begin_with_a_code<'a>(&'a self, context: &'a Context) -> Result<device::Login<'a>, Failure> {
        let request = DeviceBegin {
            provider: self.provider.clone(),
            scopes: self.scopes.clone(),
            device: self.device.clone(),
            acr_values: Vec::new(),
            replaces: self.replaces,
        };
        device::Login::begin(context, &self.provider, request)
    }

    fn with_this_browser(&self, context: &Context) -> Result<LoggedIn, Failure> {
        let loopback = Loopback::bind(self.port.unwrap_or(0))?;
        let begun = self.begin(context, loopback.redirect_uri())?;
        let url = AuthorizeUrl::try_from(&begun.authorize_url)?;
        let waiting = loopback.serve(&url)?;
        if self.no_browser {
            tell(format_args!(
                "To log in to {}, open this address in a browser of this machine:\n  {}",
                self.provider,
                url.as_str()
            ));
        } else {
            self.show(&waiting.start_url());
        }
        let callback = waiting.wait(begun.expires_at.since(clock::now()))?;
        let result = self.complete(context, &begun, callback.query().clone());
        callback.answer(&match &result {
            Ok(_) => Outcome::LoggedIn,
            Err(failure) => Outcome::Failed(failure.to_string()),
        });
        result
    }

    fn show(&self, start_url: &str) {
        if browser::can_open(|name| std::env::var_os(name)) {
            tell(format_args!(
                "Opening your browser to log in to {}. If it does not open, go to:\n  {start_url}",
                self.provider
            ));
            browser::open(start_url.to_owned());
        } else {
            tell(format_args!(
                "There is no browser here. To log in with a browser of another machine, press Ctrl-C and run:\n  \
                 tokenkeeper login {} --paste\nOr open this address on this machine:\n  {start_url}",
                self.provider
            ));
        }
    }

    fn with_any_browser(&self, context: &Context) -> Result<LoggedIn, Failure> {
        let redirect_uri = paste::redirect_uri(self.port);
        let begun = self.begin(context, redirect_uri.clone())?;
        let url = AuthorizeUrl::try_from(&begun.authorize_url)?;
        let query = paste::ask(&url, &redirect_uri)?;
        self.complete(context, &begun, query)
    }

    fn begin(&self, context: &Context, redirect_uri: String) -> Result<LoginBegun, Failure> {
        let request = LoginBegin {
            provider: self.provider.clone(),
            redirect_uri,
            scopes: self.scopes.clone(),
            login_hint: self.hint.clone(),
            device: self.device.clone(),
            acr_values: Vec::new(),
            replaces: self.replaces,
        };
        context.connect()?.login_begin(request).map_err(|error| self.failed(error))
    }

    /// Tries again while it may only be too early: the person has logged in, and would have to do it once more.
    fn complete(&self, context: &Context, begun: &LoginBegun, callback_query: Secret) -> Result<LoggedIn, Failure> {
        let request = LoginComplete { login_id: begun.login_id, callback_query };
        let good_for = begun.expires_at.since(clock::now());
        let deadline = Deadline::after(self.timeout.map_or(good_for, |timeout| timeout.min(good_for)));
        let mut pause = FIRST_PAUSE;
        loop {
            let failure = match self.try_to_complete(context, request.clone()) {
                Err(failure) if failure.may_pass() => failure,
                settled => return settled,
            };
            let wait = failure.retry_after().unwrap_or_default().max(pause);
            let Some(left) = deadline.left().filter(|left| *left > wait) else { return Err(failure) };
            failure.to_text().into_iter().for_each(tell);
            if pause == FIRST_PAUSE {
                let until = Calendar::here().brief(clock::now() + left);
                tell(format_args!("You are logged in there, so this is tried again until {until}. Ctrl-C gives up."));
            }
            clock::pause(wait);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// On a connection of its own: minutes have passed, and the daemon may have been restarted meanwhile.
    fn try_to_complete(&self, context: &Context, request: LoginComplete) -> Result<LoggedIn, Failure> {
        let mut client = context.connect_within(COMPLETION_TIMEOUT)?;
        client.login_complete(request).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: tokenkeeper_client::Error) -> Failure {
        Failure::at(error, Some(&self.provider))
    }
}
