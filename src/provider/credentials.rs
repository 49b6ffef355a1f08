//! How we show a provider that it is us (RFC 6749 section 2.3.1).

use bytes::Bytes;
use data_encoding::BASE64;
use reqwest::header::HeaderValue;
use tokenkeeper_protocol::Secret;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use super::SetupError;
use crate::config::settings::{ClientAuthentication, ProviderSettings};

/// Our registration in the form that requests need.
#[derive(Debug)]
pub(super) struct Credentials {
    client_id: String,
    /// For `client_secret_post`.
    secret_in_body: Option<Secret>,
    /// For `client_secret_basic`; the client id is then in no body.
    header: Option<HeaderValue>,
}

impl Credentials {
    /// Those of `settings`. Without a secret, whatever else they say, we are a public client.
    pub(super) fn new(settings: &ProviderSettings) -> Result<Self, SetupError> {
        let client_id = settings.client_id.clone();
        let public = Self { client_id, secret_in_body: None, header: None };
        let Some(secret) = &settings.client_secret else { return Ok(public) };
        Ok(match settings.client_authentication {
            ClientAuthentication::None => public,
            ClientAuthentication::Post => Self { secret_in_body: Some(secret.clone()), ..public },
            ClientAuthentication::Basic => Self { header: Some(basic(&public.client_id, secret)?), ..public },
        })
    }

    /// The header that goes with every request, if any.
    pub(super) fn header(&self) -> Option<&HeaderValue> {
        self.header.as_ref()
    }

    /// `fields` and what identifies us as a form, wiped when it has been sent.
    pub(super) fn form(&self, fields: &[(&str, &str)]) -> Bytes {
        // Three bytes for each, should every one of them be escaped: a buffer that grows leaves a copy behind.
        let secret = self.secret_in_body.as_ref().map_or("", Secret::expose);
        let length: usize = fields.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        let capacity = 3 * (length + self.client_id.len() + secret.len() + 32);
        let mut form = Serializer::new(String::with_capacity(capacity));
        form.extend_pairs(fields);
        if self.header.is_none() {
            form.append_pair("client_id", &self.client_id);
        }
        if !secret.is_empty() {
            form.append_pair("client_secret", secret);
        }
        Bytes::from_owner(Zeroizing::new(form.finish().into_bytes()))
    }
}

/// Each half is form-encoded before they are joined: a secret may hold a colon.
fn basic(client_id: &str, secret: &Secret) -> Result<HeaderValue, SetupError> {
    let half = |text: &str| Zeroizing::new(byte_serialize(text.as_bytes()).collect::<String>());
    let pair = Zeroizing::new([half(client_id).as_str(), ":", half(secret.expose()).as_str()].concat());
    let encoded = Zeroizing::new(BASE64.encode(pair.as_bytes()));
    sensitive("Basic ", &encoded).ok_or(SetupError::Credentials)
}

/// A header value that is not shown in debug output and whose own memory is wiped.
pub(super) fn sensitive(scheme: &str, secret: &str) -> Option<HeaderValue> {
    let bytes = Bytes::from_owner(Zeroizing::new([scheme, secret].concat().into_bytes()));
    let mut value = HeaderValue::from_maybe_shared(bytes).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::scripted;

    fn credentials(secret: Option<&str>, how: ClientAuthentication) -> Credentials {
        let mut settings = scripted::oidc_settings("https://id.example");
        settings.client_secret = secret.map(Secret::from);
        settings.client_authentication = how;
        Credentials::new(&settings).expect("credentials")
    }

    fn form(credentials: &Credentials) -> String {
        String::from_utf8(credentials.form(&[("code", "a b&c")]).to_vec()).expect("text")
    }

    #[test]
    fn basic_encodes_both_halves_and_keeps_them_out_of_the_body() {
        let credentials = credentials(Some("p:w %"), ClientAuthentication::Basic);
        let header = credentials.header().expect("a header");
        assert_eq!(header.as_bytes(), format!("Basic {}", BASE64.encode(b"shop:p%3Aw+%25")).as_bytes());
        assert!(!format!("{header:?}").contains("Basic"));
        assert_eq!(form(&credentials), "code=a+b%26c");
    }

    #[test]
    fn post_sends_the_secret_in_the_body_and_a_public_client_has_none() {
        let post = credentials(Some("s&cret"), ClientAuthentication::Post);
        assert_eq!(form(&post), "code=a+b%26c&client_id=shop&client_secret=s%26cret");
        let public = "code=a+b%26c&client_id=shop";
        assert_eq!(form(&credentials(Some("secret"), ClientAuthentication::None)), public);
        assert_eq!(form(&credentials(None, ClientAuthentication::Basic)), public);
    }
}
