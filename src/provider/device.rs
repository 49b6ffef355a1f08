//! The device flow (RFC 8628): a code for the user to type on another device, and the question whether they have.
//!
//! Invariant: what is shown to people is an address they may be sent to, and text without control characters. One call of
//! [`Provider::poll_device`] is at most one POST; when to make the next one is the keeper's business.

use std::time::Duration;

use serde::Deserialize;
use tokenkeeper_protocol::request::DeviceBegin;
use tokenkeeper_protocol::{Secret, UnixSeconds};

use super::answer::HttpAnswer;
use super::exchange::refusal;
use super::fault::said;
use super::flow::{check_words, parameters, scopes};
use super::loose::Loose;
use super::token_answer::{self, Reading};
use super::url::SafeUrl;
use super::words::plain;
use super::{Fault, FlowRefused, Grant, LoginFault, Place, Provider};
use crate::config::settings::ProviderSettings;
use crate::domain::DeviceFlow;

/// RFC 8628 section 3.4.
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// RFC 8628 section 3.2: what holds where the provider does not say.
const USUAL_INTERVAL: Duration = Duration::from_secs(5);
/// A provider that wants to be asked less often is asked once a minute all the same: its user waits.
const LONGEST_INTERVAL: Duration = Duration::from_mins(1);
/// What holds where the provider does not say, though it must.
const USUAL_LIFE: Duration = Duration::from_mins(10);
/// Longer than anybody takes to find their telephone. Each code that waits is one that somebody can be talked into typing.
const LONGEST_LIFE: Duration = Duration::from_mins(30);
/// Of the device code, which nobody types.
const DEVICE_CODE_LIMIT: usize = 4 * 1024;
/// Of the user code, which somebody does.
const USER_CODE_LIMIT: usize = 64;

/// What a device flow asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAsk {
    /// Scopes.
    pub scopes: Vec<String>,
    /// What the tokens are to be presented to (RFC 8707).
    pub resource: Vec<String>,
    /// Authentication context classes, best first.
    pub acr_values: Vec<String>,
}

impl DeviceAsk {
    /// Checks what a peer asks for. Scopes are those of the configuration unless it says otherwise.
    pub fn new(settings: &ProviderSettings, begin: &DeviceBegin) -> Result<Self, FlowRefused> {
        check_words(&begin.scopes, &begin.acr_values)?;
        let (scopes, acr_values) = (scopes(settings, &begin.scopes), begin.acr_values.clone());
        Ok(Self { scopes, resource: settings.resource.clone(), acr_values })
    }
}

/// A device flow that the provider has begun.
#[derive(Clone, Debug)]
pub struct DeviceStart {
    /// To ask with.
    pub device_code: Secret,
    /// Who gave it.
    pub issuer: String,
    /// To type.
    pub user_code: Secret,
    /// Where to type it: printable ASCII.
    pub verification_uri: String,
    /// The same with the code in it.
    pub verification_uri_complete: Option<Secret>,
    /// How long the codes are good.
    pub life: Duration,
    /// How long to wait before each question.
    pub interval: Duration,
}

/// A device flow does not begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceRefused {
    /// The provider has no such flow, as far as is known.
    #[error("it offers no login with a code (RFC 8628)")]
    NotOffered,
    /// As a login that fails later.
    #[error(transparent)]
    Login(#[from] LoginFault),
}

impl From<Fault> for DeviceRefused {
    fn from(fault: Fault) -> Self {
        Self::Login(fault.into())
    }
}

/// What came of asking whether the user has come.
#[derive(Debug)]
pub enum DevicePoll {
    /// They have.
    Granted(Box<Grant>),
    /// They have not.
    Pending,
    /// They have not, and the provider wants to be asked less often from now on.
    SlowDown,
    /// There is no answer that says anything: ask again, and not as soon.
    Later {
        /// What happened.
        fault: Fault,
        /// How long to wait, if the provider said so; at most a day.
        retry_after: Option<Duration>,
    },
    /// There will be no session.
    Over(LoginFault),
}

impl Provider {
    /// Begins a device flow: at most one POST.
    pub async fn begin_device(&self, ask: &DeviceAsk, now: UnixSeconds) -> Result<DeviceStart, DeviceRefused> {
        let outcome = self.try_begin_device(ask, now).await;
        match &outcome {
            Ok(_) => self.record.succeeded(now),
            Err(DeviceRefused::Login(LoginFault::Fault(fault))) => self.record.failed(now, fault),
            Err(_) => {}
        }
        outcome
    }

    async fn try_begin_device(&self, ask: &DeviceAsk, now: UnixSeconds) -> Result<DeviceStart, DeviceRefused> {
        let metadata = self.metadata(now).await?;
        let url = metadata.device.as_ref().ok_or(DeviceRefused::NotOffered)?;
        let (scope, acr_values) = (ask.scopes.join(" "), ask.acr_values.join(" "));
        let mut fields = Vec::new();
        // Beside the header, too: django-oauth-toolkit looks for it nowhere else, and RFC 8628 section 3.1 leaves it to us.
        if self.basic_header().is_some() {
            fields.push(("client_id", self.settings().client_id.as_str()));
        }
        if !scope.is_empty() {
            fields.push(("scope", scope.as_str()));
        }
        fields.extend(parameters(self.settings(), &ask.scopes));
        if !acr_values.is_empty() {
            fields.push(("acr_values", acr_values.as_str()));
        }
        fields.extend(ask.resource.iter().map(|resource| ("resource", resource.as_str())));
        let answer = self.post(Place::Device, url, &fields, &self.secrets, now).await.map_err(Fault::from)?;
        started(&answer, ask, &metadata.issuer)
    }

    /// Asks whether the user of `flow` has come: at most one POST.
    ///
    /// # Cancel safety
    /// Not safe: once polled, the device code may be spent, and the tokens for it are lost with the future.
    pub async fn poll_device(&self, flow: &DeviceFlow, now: UnixSeconds) -> DevicePoll {
        let outcome = self.try_poll_device(flow, now).await;
        match &outcome {
            DevicePoll::Granted(_) | DevicePoll::Pending | DevicePoll::SlowDown => self.record.succeeded(now),
            DevicePoll::Later { fault, .. }
            | DevicePoll::Over(LoginFault::Fault(fault) | LoginFault::Unidentified(fault)) => {
                self.record.failed(now, fault);
            }
            // What became of one flow says nothing about the provider.
            DevicePoll::Over(_) => {}
        }
        outcome
    }

    async fn try_poll_device(&self, flow: &DeviceFlow, now: UnixSeconds) -> DevicePoll {
        let later = |fault| DevicePoll::Later { fault, retry_after: None };
        let metadata = match self.metadata(now).await {
            Ok(metadata) => metadata,
            Err(fault) => return later(fault),
        };
        if metadata.issuer != flow.issuer {
            let (begun_at, configured) = (flow.issuer.clone(), metadata.issuer.clone());
            return DevicePoll::Over(LoginFault::AnotherIssuer { begun_at, configured });
        }
        let mut fields = vec![("grant_type", GRANT_TYPE), ("device_code", flow.device_code.expose())];
        fields.extend(flow.resource.iter().map(|resource| ("resource", resource.as_str())));
        let sent = self.secrets.with([&flow.device_code]);
        let answer = match self.post(Place::Token, &metadata.token, &fields, &sent, now).await {
            Ok(answer) => answer,
            Err(unanswered) => return later(unanswered.into()),
        };
        match judge(&answer, token_answer::read(&answer), flow) {
            Verdict::Settled(outcome) => outcome,
            // No nonce: the request that brings the ID token is ours, over TLS, with a code that nobody else has seen.
            Verdict::Granted(granted) => match self.take(&metadata, granted, &flow.scopes, None, now).await {
                Ok(grant) => DevicePoll::Granted(Box::new(grant)),
                Err(fault) => DevicePoll::Over(fault),
            },
        }
    }
}

/// What an answer of the token endpoint means.
enum Verdict {
    Granted(super::token_answer::Granted),
    Settled(DevicePoll),
}

fn judge(answer: &HttpAnswer, reading: Result<Reading, Fault>, flow: &DeviceFlow) -> Verdict {
    let later = |fault| DevicePoll::Later { fault, retry_after: answer.retry_after };
    let passing = matches!(answer.status.as_u16(), 408 | 429 | 500..=599);
    Verdict::Settled(match reading {
        Ok(Reading::Granted(granted)) => return Verdict::Granted(granted),
        Ok(Reading::Said { error, description, .. }) => match error.as_str() {
            "authorization_pending" => DevicePoll::Pending,
            "slow_down" => DevicePoll::SlowDown,
            "access_denied" => DevicePoll::Over(LoginFault::DeviceDenied(said(&error, description.as_deref()))),
            "expired_token" => DevicePoll::Over(LoginFault::DeviceExpired),
            "temporarily_unavailable" | "server_error" => {
                later(Fault::Said { place: Place::Token, error, description })
            }
            _ if passing => later(Fault::Said { place: Place::Token, error, description }),
            _ => DevicePoll::Over(refusal(&flow.scopes, error, description)),
        },
        Err(fault @ Fault::TokenTooLarge { .. }) => DevicePoll::Over(fault.into()),
        // A gateway, a page of an administrator, half an answer: the flow is as good as it was, or the next answer says that
        // it is over.
        Err(fault) => later(fault),
    })
}

/// The answer of a device authorization endpoint (RFC 8628 section 3.2), as loosely typed as those of token endpoints.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    device_code: Loose,
    user_code: Loose,
    verification_uri: Loose,
    /// The name that drafts of the standard had, and that Google kept.
    verification_url: Loose,
    verification_uri_complete: Loose,
    expires_in: Loose,
    interval: Loose,
    error: Loose,
    error_description: Loose,
}

/// What an answer says.
fn started(answer: &HttpAnswer, ask: &DeviceAsk, issuer: &str) -> Result<DeviceStart, DeviceRefused> {
    let is_success = answer.status.is_success();
    let wire: Wire = answer.json().map_err(|fault| if is_success { fault } else { answer.bad_status() })?;
    if answer.is_busy() {
        return Err(answer.bad_status().into());
    }
    if let Some(error) = wire.error.text() {
        let shown = |text: Secret| answer.secrets.show(text.expose());
        let (error, description) = (shown(error), wire.error_description.text().map(shown));
        if matches!(answer.status.as_u16(), 408 | 429 | 500..=599) {
            return Err(Fault::Said { place: Place::Device, error, description }.into());
        }
        return Err(refusal(&ask.scopes, error, description).into());
    }
    if !is_success {
        return Err(answer.bad_status().into());
    }
    let missing = |member| DeviceRefused::from(Fault::Missing { place: Place::Device, member });
    // An address with our secret in it is for nobody's eyes.
    let address = |address: Loose| {
        SafeUrl::for_people(address.text()?.expose()).filter(|address| !answer.secrets.are_in(address))
    };
    let device_code = wire.device_code.text().filter(|code| code.len() <= DEVICE_CODE_LIMIT);
    let user_code = wire.user_code.text().and_then(|code| plain(code.expose().trim(), USER_CODE_LIMIT));
    let verification_uri = address(wire.verification_uri).or_else(|| address(wire.verification_url));
    let interval = wire.interval.seconds().unwrap_or(USUAL_INTERVAL);
    Ok(DeviceStart {
        device_code: device_code.ok_or_else(|| missing("device_code"))?,
        issuer: issuer.to_owned(),
        user_code: user_code.map(Secret::from).ok_or_else(|| missing("user_code"))?,
        verification_uri: verification_uri.ok_or_else(|| missing("verification_uri"))?,
        verification_uri_complete: address(wire.verification_uri_complete).map(Secret::from),
        life: wire.expires_in.seconds().unwrap_or(USUAL_LIFE).min(LONGEST_LIFE),
        interval: interval.min(LONGEST_INTERVAL),
    })
}

#[cfg(test)]
mod tests;
