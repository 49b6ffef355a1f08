//! What the configuration says of a provider that follows no standard, once it is known to make sense.

use std::path::PathBuf;

use super::template::Template;

/// A provider that follows no standard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomSettings {
    /// Where the browser is sent; placeholders stand in its query only.
    pub code_link: Template,
    /// How the browser comes back.
    pub callback: CallbackNames,
    /// What stands for `iss` in a user's identity, and must be in ID tokens.
    pub issuer: String,
    /// What is done with ID tokens.
    pub id_token: IdTokenRule,
    /// Code to tokens.
    pub exchange: Operation,
    /// Refresh token to tokens; without it, sessions live as long as their first access token.
    pub renew: Option<Operation>,
    /// Ends a session at the provider.
    pub sign_out: Option<Operation>,
    /// Whether that ends all sessions of the user there.
    pub sign_out_ends_user: bool,
    /// Tells who the user is.
    pub user_info: Option<Operation>,
}

impl CustomSettings {
    /// Every operation.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        let optional = [&self.renew, &self.sign_out, &self.user_info];
        [&self.exchange].into_iter().chain(optional.into_iter().flatten())
    }
}

/// The names of the parameters that the browser comes back with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackNames {
    /// Of the code.
    pub code: String,
    /// Of what shows to which login it belongs; none where the provider does not give it back.
    pub state: Option<String>,
    /// Of an error.
    pub error: String,
    /// Of its description.
    pub error_description: String,
}

/// What is done with ID tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdTokenRule {
    /// Their signature is checked.
    Verified(Keys),
    /// They are believed because they came from the token endpoint itself, over TLS (OpenID Connect Core 3.1.3.7, item 6).
    TrustedFromTls,
    /// They are neither believed nor kept.
    Ignored,
}

/// Where the keys of the signatures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// From the provider.
    Url(String),
    /// From a file with a JSON Web Key Set.
    File(PathBuf),
}

/// One request and how its answer is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Where it goes.
    pub url: String,
    /// How.
    pub method: Method,
    /// Where `send` goes.
    pub body: Body,
    /// The parameters.
    pub send: Vec<Field>,
    /// More headers, by name.
    pub headers: Vec<(String, Template)>,
    /// Where in the answer things are.
    pub answer: Answer,
    /// Errors which say that the token is worth nothing any more.
    pub refused: Vec<String>,
    /// Statuses which say so.
    pub refused_status: Vec<u16>,
    /// Errors which say: try later.
    pub later: Vec<String>,
}

impl Operation {
    /// All that is filled in when it is used.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let fields = self.send.iter().filter_map(|field| match &field.value {
            FieldValue::Text(template) => Some(template),
            FieldValue::Number(_) | FieldValue::Flag(_) => None,
        });
        fields.chain(self.headers.iter().map(|(_, value)| value))
    }
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are called what they are")]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
}

/// Where parameters go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Into the body, form-encoded.
    Form,
    /// Into the body, as a JSON object.
    Json,
    /// Into the query; there is no body.
    Query,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name; several, from the outside in, for one within JSON objects.
    pub path: Vec<String>,
    /// Its value.
    pub value: FieldValue,
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// A text.
    Text(Template),
    /// A number.
    Number(i64),
    /// A truth value.
    Flag(bool),
}

/// Where in a JSON answer things are: pointers (RFC 6901).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is what RFC 6749 and OpenID Connect call it")]
pub struct Answer {
    pub access_token: Option<String>,
    pub refresh_token: Option<String>,
    pub id_token: Option<String>,
    pub expires: Option<(Expiry, String)>,
    pub token_type: Option<String>,
    pub scope: Option<String>,
    pub subject: Option<String>,
    pub name: Option<String>,
    pub email: Option<String>,
    pub error: Option<String>,
    pub error_description: Option<String>,
    /// What the provider's support asks for.
    pub correlation_id: Option<String>,
}

/// How an answer says when an access token expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// In so many seconds.
    InSeconds,
    /// In so many milliseconds.
    InMilliseconds,
    /// At this time: seconds or milliseconds since 1970, or RFC 3339.
    At,
}
