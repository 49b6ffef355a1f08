//! A dialect that the configuration describes: requests are filled in, answers are read by pointers.
//!
//! Like every request here, each goes out once, follows no redirect, and its answer is of bounded size. The configuration may
//! say which errors mean that a token is dead; an error of which nobody says so ends no session.

use serde_json::{Map, Value};
use tokenkeeper_protocol::{Secret, UnixSeconds};
use url::form_urlencoded::byte_serialize;

use super::fill::Known;
use super::pointers::{Body, described};
use super::{Spoken, Told};
use crate::config::custom::{CustomSettings, IdTokenRule, Operation, Piece, Placeholder};
use crate::config::settings::ProviderSettings;
use crate::domain::{Flow, Session, Tokens};
use crate::provider::answer::HttpAnswer;
use crate::provider::flow::challenge;
use crate::provider::http::Unanswered;
use crate::provider::refresh::is_refusal;
use crate::provider::secrets::Secrets;
use crate::provider::token_answer::{Granted, Reading};
use crate::provider::url::SafeUrl;
use crate::provider::{Callback, CallbackMalformed, Fault, Place, Provider, RevokeOutcome, SetupError};

/// The dialect of one provider.
#[derive(Debug)]
pub(in crate::provider) struct Custom {
    described: CustomSettings,
    exchange: SafeUrl,
    renew: Option<SafeUrl>,
    sign_out: Option<SafeUrl>,
    user_info: Option<SafeUrl>,
}

impl Custom {
    /// The dialect as it is `described`.
    pub(super) fn new(described: &CustomSettings) -> Result<Self, SetupError> {
        let url = |key, operation: &Operation| {
            let insecure = || SetupError::Insecure { key, value: operation.url.clone() };
            SafeUrl::parse(&operation.url).ok_or_else(insecure)
        };
        let optional = |key, operation: &Option<Operation>| operation.as_ref().map(|it| url(key, it)).transpose();
        Ok(Self {
            exchange: url("exchange.url", &described.exchange)?,
            renew: optional("renew.url", &described.renew)?,
            sign_out: optional("sign_out.url", &described.sign_out)?,
            user_info: optional("user_info.url", &described.user_info)?,
            described: described.clone(),
        })
    }

    pub(super) fn sends_nonce(&self) -> bool {
        self.described.code_link.uses(Placeholder::Nonce)
    }

    /// The code link, with everything that is filled in escaped for a query.
    pub(super) fn login_url(&self, flow: &Flow, settings: &ProviderSettings) -> Secret {
        let (scope, acr) = (flow.scopes.join(" "), flow.acr_values.join(" "));
        let parts = self.described.code_link.pieces().iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Value(placeholder) => {
                let challenge = challenge(&flow.verifier);
                let value = match placeholder {
                    Placeholder::ClientId => settings.client_id.as_str(),
                    Placeholder::RedirectUri => &flow.redirect_uri,
                    Placeholder::State => flow.state.expose(),
                    Placeholder::Nonce => flow.nonce.expose(),
                    Placeholder::CodeChallenge => &challenge,
                    Placeholder::Scope => &scope,
                    Placeholder::LoginHint => flow.login_hint.as_deref().unwrap_or(""),
                    Placeholder::AcrValues => &acr,
                    // No secret is allowed there: the configuration was refused otherwise.
                    _ => "",
                };
                byte_serialize(value.as_bytes()).collect()
            }
        });
        Secret::from(parts.collect::<String>())
    }

    pub(super) fn read_callback(&self, query: &Secret, secrets: &Secrets) -> Result<Callback, CallbackMalformed> {
        let names = &self.described.callback;
        Callback::parse_as(query, secrets, names.state.as_deref(), &names.code, &names.error, &names.error_description)
    }

    pub(super) async fn send_code(
        &self,
        provider: &Provider,
        flow: &Flow,
        code: &Secret,
        now: UnixSeconds,
    ) -> Result<Spoken, Unanswered> {
        let scope = flow.scopes.join(" ");
        let known = Known {
            flow: Some(flow),
            code: Some(code),
            scope: &scope,
            ..Known::new(provider.settings(), &provider.secrets)
        };
        self.ask_for_tokens(provider, &self.described.exchange, &self.exchange, known, now).await
    }

    pub(super) async fn send_refresh_token(
        &self,
        provider: &Provider,
        session: &Session,
        tokens: &Tokens,
        now: UnixSeconds,
    ) -> Result<Spoken, Unanswered> {
        let (Some(renew), Some(url)) = (&self.described.renew, &self.renew) else {
            return Err(Unanswered::NotSent(Fault::NoOperation { operation: "renew" }));
        };
        let known = Known {
            refresh: tokens.refresh.as_ref(),
            access: Some(&tokens.access.token),
            scope: &tokens.access.scope,
            subject: &session.user.subject,
            ..Known::new(provider.settings(), &provider.secrets)
        };
        self.ask_for_tokens(provider, renew, url, known, now).await
    }

    async fn ask_for_tokens(
        &self,
        provider: &Provider,
        operation: &Operation,
        url: &SafeUrl,
        known: Known<'_>,
        now: UnixSeconds,
    ) -> Result<Spoken, Unanswered> {
        let answer = send(provider, Place::Token, operation, url, known, now).await?;
        let mut reading = Body::of(&answer, &operation.answer).and_then(|body| {
            let mut reading = body.reading(&answer, now)?;
            if let Reading::Granted(granted) = &mut reading {
                granted.claims = body.claims(&provider.settings().user_name_claim);
                // One that can never be spent would only be asked for in vain when the access token expires.
                granted.refresh = granted.refresh.take().filter(|_| self.described.renew.is_some());
                granted.id = granted.id.take().filter(|_| self.described.id_token != IdTokenRule::Ignored);
            }
            Ok(reading)
        });
        let error = match &reading {
            Ok(Reading::Said { error, .. }) => Some(error.as_str()),
            Ok(Reading::Granted(_)) => return Ok(Spoken { answer, reading, told: None }),
            Err(_) => None,
        };
        let told = told(operation, &answer, error);
        // A refused refresh has a place of its own for it.
        let is_refusal = known.refresh.is_some() && (told == Some(Told::Refused) || error.is_some_and(is_refusal));
        if let Ok(Reading::Said { description, correlation, .. }) = &mut reading
            && operation.answer.correlation_id.is_some()
            && !is_refusal
        {
            *description = described(description.take(), correlation.take());
        }
        Ok(Spoken { answer, reading, told })
    }

    pub(super) async fn user_info(
        &self,
        provider: &Provider,
        granted: &Granted,
        now: UnixSeconds,
    ) -> Result<Map<String, Value>, Fault> {
        let (Some(operation), Some(url)) = (&self.described.user_info, &self.user_info) else {
            return Err(Fault::NoOperation { operation: "user_info" });
        };
        let known = Known { access: Some(&granted.access), ..Known::new(provider.settings(), &granted.secrets) };
        let answer = send(provider, Place::Userinfo, operation, url, known, now).await?;
        let body = Body::of(&answer, &operation.answer)?;
        if let Some((error, description)) = body.said(&answer) {
            return Err(Fault::Said { place: Place::Userinfo, error, description });
        }
        if !answer.status.is_success() {
            return Err(answer.bad_status());
        }
        Ok(body.claims(&provider.settings().user_name_claim))
    }

    pub(super) async fn sign_out(&self, provider: &Provider, tokens: &Tokens, now: UnixSeconds) -> RevokeOutcome {
        let (Some(operation), Some(url)) = (&self.described.sign_out, &self.sign_out) else {
            return RevokeOutcome::Unsupported;
        };
        let uses = |placeholder| operation.templates().any(|template| template.uses(placeholder));
        if (uses(Placeholder::RefreshToken) && tokens.refresh.is_none())
            || (uses(Placeholder::IdToken) && tokens.id.is_none())
        {
            return RevokeOutcome::Unsupported;
        }
        if uses(Placeholder::AccessToken) && tokens.access.expires_at <= now {
            return RevokeOutcome::Refused(Fault::SignOutTooLate);
        }
        let known = Known {
            refresh: tokens.refresh.as_ref(),
            access: Some(&tokens.access.token),
            id: tokens.id.as_ref(),
            ..Known::new(provider.settings(), &provider.secrets)
        };
        match send(provider, Place::Revocation, operation, url, known, now).await {
            Ok(answer) => judge_sign_out(operation, &answer),
            Err(unanswered) => RevokeOutcome::TryAgain(unanswered.into()),
        }
    }
}

async fn send(
    provider: &Provider,
    place: Place,
    operation: &Operation,
    url: &SafeUrl,
    known: Known<'_>,
    now: UnixSeconds,
) -> Result<HttpAnswer, Unanswered> {
    let request = known.request(operation, url, provider.basic_header());
    let request = request.ok_or(Unanswered::NotSent(Fault::Unsendable { place }))?;
    provider.http.request(place, request, now).await
}

/// What the configuration says that an answer without tokens means.
fn told(operation: &Operation, answer: &HttpAnswer, error: Option<&str>) -> Option<Told> {
    let is_in = |list: &[String]| error.is_some_and(|error| list.iter().any(|known| known == error));
    if is_in(&operation.refused) || operation.refused_status.contains(&answer.status.as_u16()) {
        return Some(Told::Refused);
    }
    is_in(&operation.later).then_some(Told::Later)
}

/// A body is not needed: a status of success is enough, unless an error stands in the body all the same.
fn judge_sign_out(operation: &Operation, answer: &HttpAnswer) -> RevokeOutcome {
    let place = Place::Revocation;
    let said = Body::of(answer, &operation.answer).ok().and_then(|body| body.said(answer));
    let fault = match &said {
        Some((error, description)) => Fault::Said { place, error: error.clone(), description: description.clone() },
        None => answer.bad_status(),
    };
    match (told(operation, answer, said.as_ref().map(|(error, _)| error.as_str())), answer.status.as_u16()) {
        (Some(Told::Refused), _) => RevokeOutcome::Done,
        (Some(Told::Later), _) | (None, 408 | 429 | 500..=599) => RevokeOutcome::TryAgain(fault),
        (None, 200..=299) if said.is_none() => match answer.page() {
            // A login page or that of a gateway: whoever wrote it ended nothing.
            Some(page) => RevokeOutcome::TryAgain(page),
            None => RevokeOutcome::Done,
        },
        (None, _) if matches!(fault, Fault::Unread { .. }) => RevokeOutcome::TryAgain(fault),
        (None, _) => RevokeOutcome::Refused(fault),
    }
}
