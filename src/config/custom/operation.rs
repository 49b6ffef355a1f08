//! One operation of a custom provider: the request, and where in its answer things are.

use super::layers::Layers;
use super::settings::{Answer, Body, Expiry, Field, FieldValue, Method, Operation};
use super::template::{Placeholder, Template};
use crate::config::endpoint;
use crate::config::keys;
use crate::config::provider::not_one_of;
use crate::config::table::{Entry, Table};
use crate::config::value::{self, Complaint};

/// What an operation is for.
#[derive(Debug)]
pub(super) struct Role {
    /// Its table.
    pub(super) key: &'static str,
    /// What may be filled in.
    allowed: &'static [Placeholder],
    /// One of these must be: without it, the request is about nothing.
    spends: &'static [Placeholder],
    /// What its answer must hold.
    gives: Gives,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gives {
    Tokens,
    User,
    Nothing,
}

use Placeholder as P;

pub(super) const EXCHANGE: Role = Role {
    key: "exchange",
    allowed: &[P::Code, P::ClientId, P::ClientSecret, P::RedirectUri, P::CodeVerifier, P::State, P::Scope],
    spends: &[P::Code],
    gives: Gives::Tokens,
};

pub(super) const RENEW: Role = Role {
    key: "renew",
    allowed: &[P::RefreshToken, P::AccessToken, P::ClientId, P::ClientSecret, P::Subject, P::Scope],
    spends: &[P::RefreshToken],
    gives: Gives::Tokens,
};

pub(super) const SIGN_OUT: Role = Role {
    key: "sign_out",
    allowed: &[P::RefreshToken, P::AccessToken, P::IdToken, P::ClientId, P::ClientSecret],
    spends: &[P::RefreshToken, P::AccessToken, P::IdToken],
    gives: Gives::Nothing,
};

pub(super) const USER_INFO: Role = Role {
    key: "user_info",
    allowed: &[P::AccessToken, P::ClientId, P::ClientSecret],
    spends: &[P::AccessToken],
    gives: Gives::User,
};

/// Those that the HTTP client sets by itself, or that would carry what nobody asked for.
const OWN_HEADERS: [&str; 7] =
    ["host", "content-length", "transfer-encoding", "connection", "accept-encoding", "cookie", "upgrade"];

/// Reads the operation for `role`; `None` if it is not there, or wrong.
pub(super) fn read(provider: &Layers<'_>, role: &Role) -> Option<Operation> {
    let operation = provider.within(role.key, &keys::OPERATION)?;
    let url = operation.required("url", url);
    let method = operation.parsed("method", method).unwrap_or(Method::Post);
    let body = body(&operation, method);
    let send = operation.whole("send").map(|table| fields(table, role, body == Some(Body::Json)));
    let headers = operation.whole("headers").map(|table| headers(table, role)).unwrap_or_default();
    let answer = operation.whole("answer").map(answer);
    let refused_status = operation.with("refused_status").and_then(|table| table.numbers("refused_status", 400..=499));
    if let (true, Some(table)) = (role.key != SIGN_OUT.key, operation.with("ends")) {
        let place = table.place_of("ends").unwrap_or_else(|| table.place());
        table.error(place, "ends is for sign_out: nothing else ends a session");
    }
    let read = Operation {
        url: url.unwrap_or_default(),
        method,
        body: body.unwrap_or(Body::Form),
        send: send.clone().unwrap_or_default(),
        headers,
        answer: answer.clone().unwrap_or_default(),
        refused: operation.list("refused", value::plain),
        refused_status: refused_status
            .unwrap_or_default()
            .into_iter()
            .filter_map(|it| u16::try_from(it).ok())
            .collect(),
        later: operation.list("later", value::plain),
    };
    check_spending(&operation, role, send.is_some(), &read);
    match (role.gives, &answer) {
        (Gives::Tokens, None) => operation.lacks("answer.access_token"),
        (Gives::Tokens, Some(answer)) if answer.access_token.is_none() => operation.lacks("answer.access_token"),
        (Gives::User, None) => operation.lacks("answer.subject"),
        (Gives::User, Some(answer)) if answer.subject.is_none() => operation.lacks("answer.subject"),
        _ => {}
    }
    Some(read)
}

/// A request that does not carry what it is about is lacking; one that carries a secret in its address is worth a warning.
fn check_spending(operation: &Layers<'_>, role: &Role, sends: bool, read: &Operation) {
    let carries = |placeholder: &Placeholder| read.templates().any(|template| template.uses(*placeholder));
    if !role.spends.iter().any(carries) {
        let wanted: Vec<_> = role.spends.iter().map(|it| format!("{{{}}}", it.name())).collect();
        if sends || !read.headers.is_empty() {
            let message = format!("{} carries no {}", operation.name_of("send"), wanted.join(" or "));
            operation.error("send", format!("{message}; write it where this provider wants it, in send or in headers"));
        } else {
            operation.lacks("send");
        }
    }
    let secrets = [P::ClientSecret, P::RefreshToken, P::AccessToken, P::IdToken];
    let in_query =
        |field: &&Field| matches!(&field.value, FieldValue::Text(it) if secrets.iter().any(|secret| it.uses(*secret)));
    if read.body == Body::Query
        && let Some(field) = read.send.iter().find(in_query)
    {
        let name = operation.name_of(&format!("send.{}", field.path.join(".")));
        operation.warning("send", format!("{name} puts a secret into the address, and servers log addresses; use a header or a body if this provider takes it there"));
    }
}

fn url(text: &str) -> Result<String, Complaint> {
    Template::parse(text, &[])?;
    endpoint::provider_url(text)
}

fn method(text: &str) -> Result<Method, Complaint> {
    match text {
        "GET" => Ok(Method::Get),
        "POST" => Ok(Method::Post),
        "PUT" => Ok(Method::Put),
        "DELETE" => Ok(Method::Delete),
        other => Err(not_one_of(other, &["GET", "POST", "PUT", "DELETE"])),
    }
}

/// Where parameters go: what is usual for the method unless told. A GET has no body.
fn body(operation: &Layers<'_>, method: Method) -> Option<Body> {
    let usual = if matches!(method, Method::Get | Method::Delete) { Body::Query } else { Body::Form };
    if operation.with("body").is_none() {
        return Some(usual);
    }
    let told = operation.parsed("body", |text| match text {
        "form" => Ok(Body::Form),
        "json" => Ok(Body::Json),
        "query" => Ok(Body::Query),
        other => Err(not_one_of(other, &["form", "json", "query"])),
    })?;
    if method == Method::Get && told != Body::Query {
        operation.error("body", "body must be \"query\" with method = \"GET\", which has no body; remove it");
    }
    Some(told)
}

/// The parameters, those within objects with the names of all that they are in.
fn fields(table: Table<'_>, role: &Role, nested: bool) -> Vec<Field> {
    let mut fields = Vec::new();
    collect(table, role, nested, &[], &mut fields);
    fields
}

fn collect(table: Table<'_>, role: &Role, nested: bool, outer: &[String], fields: &mut Vec<Field>) {
    for (name, entry) in table.entries() {
        let path: Vec<_> = outer.iter().cloned().chain([name.value.to_owned()]).collect();
        let value = match entry {
            Entry::Text(text) => {
                let template = Template::parse(text.value, role.allowed);
                table.accept(name.value, &text.place, template).map(FieldValue::Text)
            }
            Entry::Number(number) => Some(FieldValue::Number(number)),
            Entry::Flag(flag) => Some(FieldValue::Flag(flag)),
            Entry::Table(inner) if nested => {
                collect(inner, role, nested, &path, fields);
                None
            }
            Entry::Table(inner) => {
                table.error(inner.place(), format!("{} is a table, which goes with body = \"json\" only", name.value));
                None
            }
        };
        fields.extend(value.map(|value| Field { path, value }));
    }
}

fn headers(table: Table<'_>, role: &Role) -> Vec<(String, Template)> {
    let mut headers = Vec::new();
    for (name, entry) in table.entries() {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.value.is_empty() || !name.value.bytes().all(is_token) {
            table.error(name.place, format!("{:?} is no name of a header", name.value));
        } else if OWN_HEADERS.contains(&name.value.to_ascii_lowercase().as_str()) {
            table.error(name.place, format!("the header {:?} is not for the configuration to set", name.value));
        } else if let Entry::Text(text) = entry {
            let is_line = text.value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
            let value = if is_line {
                Template::parse(text.value, role.allowed)
            } else {
                Err(Complaint::new("must be printable ASCII on one line"))
            };
            headers.extend(table.accept(name.value, &text.place, value).map(|value| (name.value.to_owned(), value)));
        } else {
            table.error(name.place, format!("the header {:?} must be a string, in quotes", name.value));
        }
    }
    headers
}

fn answer(table: Table<'_>) -> Answer {
    table.check_keys(&keys::ANSWER);
    let at = |key: &str| table.parsed(key, pointer);
    let notations = [
        (Expiry::InSeconds, "expires_in"),
        (Expiry::InMilliseconds, "expires_in_milliseconds"),
        (Expiry::At, "expires_at"),
    ];
    let mut expires = notations.into_iter().filter_map(|(how, key)| Some((key, (how, at(key)?))));
    let first = expires.next();
    if let (Some((_, _)), Some((second, _))) = (&first, expires.next()) {
        table.error(
            table.place_of(second).unwrap_or_else(|| table.place()),
            format!(
                "{second} says the same as another key; keep one of expires_in, expires_in_milliseconds, expires_at"
            ),
        );
    }
    Answer {
        access_token: at("access_token"),
        refresh_token: at("refresh_token"),
        id_token: at("id_token"),
        expires: first.map(|(_, expires)| expires),
        token_type: at("token_type"),
        scope: at("scope"),
        subject: at("subject"),
        name: at("name"),
        email: at("email"),
        error: at("error"),
        error_description: at("error_description"),
        correlation_id: at("correlation_id"),
    }
}

/// RFC 6901.
fn pointer(text: &str) -> Result<String, Complaint> {
    if !text.starts_with('/') {
        let example = format!("/{}", text.replace('.', "/"));
        return Err(Complaint::new(format!(
            "must be a JSON pointer, which begins with \"/\"; did you mean {example:?}?"
        )));
    }
    let escapes_are_fine = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    if escapes_are_fine && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(format!("is no JSON pointer: {text:?}; write ~0 for ~ and ~1 for / within a name")))
}
