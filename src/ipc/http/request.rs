//! From path, query and body to a request of the protocol.

use std::str::FromStr;

use tokenkeeper_protocol::request::{
    DeviceBegin, DeviceWait, HistoryRequest, Holder, LoginBegin, LoginComplete, Selector, SessionsRequest, TokenFor,
    TokenRequest,
};
use tokenkeeper_protocol::span::{milliseconds, whole_seconds};
use tokenkeeper_protocol::{Request, SessionRef};

use super::object::Object;
use super::problem::Failure;
use super::query::Query;
use super::route::Endpoint;

const BEGIN: &[&str] = &["provider", "redirect_uri", "scopes", "login_hint", "device", "acr_values", "replaces"];
const DEVICE_BEGIN: &[&str] = &["provider", "scopes", "device", "acr_values", "replaces"];
const TOKEN: &[&str] = &["min_valid", "scope", "resource", "timeout"];

/// What came in, beside the method.
pub(super) struct Told<'a> {
    /// What stands for the braces of the path.
    pub(super) named: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) body: &'a [u8],
}

/// What is to be answered.
pub(super) enum Call {
    /// By the service.
    Ask(Request),
    /// That we are alive.
    Alive,
    /// Whether we serve.
    Ready,
    /// The description of the interface.
    Document,
}

/// Makes sense of a request.
pub(super) fn call(endpoint: Endpoint, told: &Told<'_>) -> Result<Call, Failure> {
    let no_query = || Query::parse(told.query, &[]).map(drop);
    if !matches!(endpoint, Endpoint::Sessions | Endpoint::History) {
        no_query()?;
    }
    Ok(Call::Ask(match endpoint {
        Endpoint::BeginLogin => begin(told.body)?,
        Endpoint::CompleteLogin => {
            let object = Object::parse(told.body, &["callback_query"])?;
            let callback_query = object.secret("callback_query")?;
            Request::LoginComplete(LoginComplete { login_id: name(told)?, callback_query })
        }
        Endpoint::BeginDeviceLogin => begin_device(told.body)?,
        Endpoint::WaitForLogin => {
            let object = Object::parse(told.body, &["timeout"])?;
            let timeout_ms = object.span("timeout")?.map(milliseconds);
            Request::DeviceWait(DeviceWait { login_id: name(told)?, timeout_ms })
        }
        Endpoint::SessionToken => session_token(name(told)?, told.body)?,
        Endpoint::AccountToken => Request::TokenFor(token_for(Holder::Account(name(told)?), told.body)?),
        Endpoint::Logout => {
            Object::parse(told.body, &[])?;
            Request::Logout(name(told)?)
        }
        Endpoint::Sessions => {
            let query = Query::parse(told.query, &["provider", "user", "cursor"])?;
            let (provider, user) = (query.parsed("provider")?, query.parsed("user")?);
            Request::Sessions(SessionsRequest { provider, user, cursor: query.parsed("cursor")? })
        }
        Endpoint::Session => Request::Session(name(told)?),
        Endpoint::History => {
            let query = Query::parse(told.query, &["cursor"])?;
            Request::History(HistoryRequest { session: name(told)?, cursor: query.parsed("cursor")? })
        }
        Endpoint::Status => Request::Status,
        Endpoint::WhoAmI => Request::WhoAmI,
        Endpoint::Providers => Request::Providers,
        Endpoint::Metrics => Request::Metrics,
        Endpoint::Alive => return Ok(Call::Alive),
        Endpoint::Ready => return Ok(Call::Ready),
        Endpoint::Document => return Ok(Call::Document),
    }))
}

/// What the path names. Its form is told in words; what was written instead may be a secret.
fn name<T: FromStr<Err: std::fmt::Display>>(told: &Told<'_>) -> Result<T, Failure> {
    told.named.parse().map_err(|error| Failure::bad(format!("the path names none: {error}")))
}

fn begin(body: &[u8]) -> Result<Request, Failure> {
    let object = Object::parse(body, BEGIN)?;
    Ok(Request::LoginBegin(LoginBegin {
        provider: object.required("provider")?,
        redirect_uri: object.required("redirect_uri")?,
        scopes: object.texts("scopes")?,
        login_hint: object.text("login_hint")?,
        device: object.text("device")?,
        acr_values: object.texts("acr_values")?,
        replaces: object.parsed("replaces")?,
    }))
}

fn begin_device(body: &[u8]) -> Result<Request, Failure> {
    let object = Object::parse(body, DEVICE_BEGIN)?;
    Ok(Request::DeviceBegin(DeviceBegin {
        provider: object.required("provider")?,
        scopes: object.texts("scopes")?,
        device: object.text("device")?,
        acr_values: object.texts("acr_values")?,
        replaces: object.parsed("replaces")?,
    }))
}

/// The plain request unless something in particular is wanted: only that is answered from memory.
fn session_token(session: SessionRef, body: &[u8]) -> Result<Request, Failure> {
    let selector = Selector::Session(session);
    let wanted = token_for(Holder::Session(selector.clone()), body)?;
    if wanted.scope.is_some() || wanted.resource.is_some() {
        return Ok(Request::TokenFor(wanted));
    }
    let TokenFor { min_valid_seconds, timeout_ms, .. } = wanted;
    Ok(Request::Token(TokenRequest { selector, min_valid_seconds, timeout_ms }))
}

fn token_for(of: Holder, body: &[u8]) -> Result<TokenFor, Failure> {
    let object = Object::parse(body, TOKEN)?;
    Ok(TokenFor {
        of,
        min_valid_seconds: object.span("min_valid")?.map(whole_seconds),
        timeout_ms: object.span("timeout")?.map(milliseconds),
        scope: object.text("scope")?,
        resource: object.text("resource")?,
    })
}
