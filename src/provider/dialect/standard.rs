//! The requests of the standards: RFC 6749 sections 4.1.3 and 6, OpenID Connect Core 5.3.

use serde_json::{Map, Value};
use tokenkeeper_protocol::{Secret, UnixSeconds};

use super::{Spoken, Told};
use crate::domain::{Flow, Session, Tokens};
use crate::provider::credentials::sensitive;
use crate::provider::http::Unanswered;
use crate::provider::metadata::Metadata;
use crate::provider::token_answer::{self, Granted, Reading};
use crate::provider::{Fault, Place, Provider};

impl Provider {
    pub(super) async fn send_standard_code(
        &self,
        metadata: &Metadata,
        flow: &Flow,
        code: &Secret,
        now: UnixSeconds,
    ) -> Result<Spoken, Unanswered> {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", &flow.redirect_uri),
            ("code_verifier", flow.verifier.expose()),
        ];
        fields.extend(flow.resource.iter().map(|resource| ("resource", resource.as_str())));
        let answer = self
            .post(Place::Token, &metadata.token, &fields, &self.secrets.with(flow.secrets()).with([code]), now)
            .await?;
        Ok(Spoken { reading: token_answer::read(&answer), answer, told: None })
    }

    pub(super) async fn send_standard_refresh_token(
        &self,
        metadata: &Metadata,
        session: &Session,
        tokens: &Tokens,
        refresh: &Secret,
        now: UnixSeconds,
    ) -> Result<Spoken, Unanswered> {
        // No scope: the same is granted again, and some providers refuse `offline_access` here.
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", refresh.expose())];
        // What the login asked for, not what is configured by now: a resource that was not granted then is refused.
        fields.extend(session.resource.iter().map(|resource| ("resource", resource.as_str())));
        let answer =
            self.post(Place::Token, &metadata.token, &fields, &self.secrets.with(tokens.secrets()), now).await?;
        let reading = token_answer::read(&answer);
        let (settings, status) = (self.settings(), answer.status);
        let is_refusal = match &reading {
            // An error that was not read may be any.
            Ok(Reading::Granted(_)) | Err(Fault::Unread { .. }) => false,
            Ok(Reading::Said { error, .. }) => settings.refused.contains(error) && !status.is_server_error(),
            Err(_) => settings.refused_status.contains(&status.as_u16()),
        };
        let told = is_refusal.then_some(Told::Refused);
        Ok(Spoken { answer, reading, told })
    }

    pub(super) async fn userinfo(
        &self,
        metadata: &Metadata,
        granted: &Granted,
        now: UnixSeconds,
    ) -> Result<Map<String, Value>, Fault> {
        let missing = |place, member| Fault::Missing { place, member };
        let url = metadata.userinfo.as_ref().ok_or(missing(Place::Discovery, "userinfo_endpoint"))?;
        let bearer = sensitive("Bearer ", granted.access.expose()).ok_or(missing(Place::Token, "access_token"))?;
        self.http.get(Place::Userinfo, url, Some(&bearer), &granted.secrets, now).await?.ok_json()
    }
}
