//! Makes a request of what the configuration describes and of what is known when it is sent.

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use tokenkeeper_protocol::Secret;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use super::pointers::Wiped;
use crate::config::custom::{Body, Field, FieldValue, Method, Operation, Placeholder, Template};
use crate::config::settings::ProviderSettings;
use crate::domain::Flow;
use crate::provider::credentials::sensitive;
use crate::provider::http::Outgoing;
use crate::provider::secrets::Secrets;
use crate::provider::url::SafeUrl;

/// What can be filled in. What is not known is empty; that it is not needed was checked with the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub(super) settings: &'a ProviderSettings,
    /// What else the provider may quote.
    pub(super) secrets: &'a Secrets,
    pub(super) flow: Option<&'a Flow>,
    pub(super) code: Option<&'a Secret>,
    pub(super) access: Option<&'a Secret>,
    pub(super) refresh: Option<&'a Secret>,
    pub(super) id: Option<&'a Secret>,
    pub(super) scope: &'a str,
    pub(super) subject: &'a str,
}

impl<'a> Known<'a> {
    /// Our registration, and nothing else yet.
    pub(super) fn new(settings: &'a ProviderSettings, secrets: &'a Secrets) -> Self {
        let [code, access, refresh, id] = [None; 4];
        Self { settings, secrets, flow: None, code, access, refresh, id, scope: "", subject: "" }
    }

    /// All secrets in it, which are struck out of what the provider says.
    fn secrets(&self) -> Secrets {
        let sent = [self.code, self.access, self.refresh, self.id].into_iter().flatten();
        self.secrets.with(sent.chain(self.flow.into_iter().flat_map(Flow::secrets)))
    }

    fn value(&self, placeholder: Placeholder) -> &'a str {
        let exposed = |secret: Option<&'a Secret>| secret.map_or("", Secret::expose);
        match placeholder {
            Placeholder::ClientId => &self.settings.client_id,
            Placeholder::ClientSecret => exposed(self.settings.client_secret.as_ref()),
            Placeholder::Code => exposed(self.code),
            Placeholder::RedirectUri => self.flow.map_or("", |flow| &flow.redirect_uri),
            Placeholder::CodeVerifier => exposed(self.flow.map(|flow| &flow.verifier)),
            Placeholder::State => exposed(self.flow.map(|flow| &flow.state)),
            Placeholder::Nonce => exposed(self.flow.map(|flow| &flow.nonce)),
            Placeholder::LoginHint => self.flow.and_then(|flow| flow.login_hint.as_deref()).unwrap_or(""),
            Placeholder::Scope => self.scope,
            Placeholder::AccessToken => exposed(self.access),
            Placeholder::RefreshToken => exposed(self.refresh),
            Placeholder::IdToken => exposed(self.id),
            Placeholder::Subject => self.subject,
            // These are derived, and stand in a code link only.
            Placeholder::CodeChallenge | Placeholder::AcrValues => "",
        }
    }

    pub(super) fn fill(&self, template: &Template) -> Zeroizing<String> {
        Zeroizing::new(template.fill(|placeholder| self.value(placeholder)))
    }

    /// The request; `None` if something does not fit into a header. `basic` is our registration as a header, if it goes there.
    pub(super) fn request(
        &self,
        operation: &Operation,
        url: &SafeUrl,
        basic: Option<&HeaderValue>,
    ) -> Option<Outgoing> {
        let mut headers = HeaderMap::new();
        headers.extend(basic.map(|basic| (AUTHORIZATION, basic.clone())));
        let content_type = match operation.body {
            Body::Form => Some("application/x-www-form-urlencoded"),
            Body::Json => Some("application/json"),
            Body::Query => None,
        };
        headers.extend(content_type.map(|it| (CONTENT_TYPE, HeaderValue::from_static(it))));
        for (name, template) in &operation.headers {
            let name = HeaderName::try_from(name).ok()?;
            headers.insert(name, sensitive("", &self.fill(template))?);
        }
        let mut url = url.clone();
        let body = match operation.body {
            Body::Form => Some(self.form(&operation.send)),
            Body::Json => Some(self.json(&operation.send)?),
            Body::Query => {
                let pairs: Vec<_> = self.pairs(&operation.send);
                url.append(pairs.iter().map(|(name, value)| (*name, value.as_str())));
                None
            }
        };
        let method = match operation.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        Some(Outgoing { method, url, headers, body, secrets: self.secrets() })
    }

    fn text(&self, value: &FieldValue) -> Zeroizing<String> {
        match value {
            FieldValue::Text(template) => self.fill(template),
            FieldValue::Number(number) => Zeroizing::new(number.to_string()),
            FieldValue::Flag(flag) => Zeroizing::new(flag.to_string()),
        }
    }

    fn pairs<'b>(&self, fields: &'b [Field]) -> Vec<(&'b str, Zeroizing<String>)> {
        fields.iter().filter_map(|field| Some((field.path.first()?.as_str(), self.text(&field.value)))).collect()
    }

    fn form(&self, fields: &[Field]) -> Bytes {
        let pairs = self.pairs(fields);
        // Three bytes for each, should every one of them be escaped: a buffer that grows leaves a copy behind.
        let length: usize = pairs.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        let mut form = Serializer::new(String::with_capacity(3 * length));
        form.extend_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str())));
        Bytes::from_owner(Zeroizing::new(form.finish().into_bytes()))
    }

    fn json(&self, fields: &[Field]) -> Option<Bytes> {
        let (mut body, mut length) = (Wiped(Value::Object(Map::new())), 16);
        for field in fields {
            let value = match &field.value {
                FieldValue::Number(number) => (*number).into(),
                FieldValue::Flag(flag) => (*flag).into(),
                FieldValue::Text(template) => Value::String(self.fill(template).to_string()),
            };
            length += field.path.iter().map(|name| name.len() + 8).sum::<usize>();
            length += value.as_str().map_or(24, str::len) + 8;
            let mut place = &mut body.0;
            for name in &field.path {
                if place.is_null() {
                    *place = Value::Object(Map::new());
                }
                place = place.as_object_mut()?.entry(name).or_insert(Value::Null);
            }
            *place = value;
        }
        // Six bytes for each, should every one of them be escaped.
        let mut bytes = Zeroizing::new(Vec::with_capacity(6 * length));
        serde_json::to_writer(&mut *bytes, &body.0).ok()?;
        Some(Bytes::from_owner(bytes))
    }
}
