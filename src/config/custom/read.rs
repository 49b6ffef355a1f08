//! One `[provider.NAME]` of `kind = "custom"`, from table to settings.

use std::cell::RefCell;
use std::path::Path;

use super::layers::Layers;
use super::operation::{self, EXCHANGE, RENEW, SIGN_OUT, USER_INFO};
use super::settings::{CallbackNames, CustomSettings, IdTokenRule, Keys, Operation};
use super::template::{Placeholder, Template};
use crate::config::endpoint;
use crate::config::keys;
use crate::config::provider::{not_one_of, readable};
use crate::config::settings::ProviderKind;
use crate::config::table::Table;
use crate::config::value::{self, Complaint};

use Placeholder as P;

/// What may stand in a code link. No secret: addresses end up in histories and logs.
const IN_CODE_LINK: [Placeholder; 8] =
    [P::ClientId, P::RedirectUri, P::State, P::Nonce, P::CodeChallenge, P::Scope, P::LoginHint, P::AcrValues];

/// The provider as `table` describes it, over `profile`; `None` with at least one finding. `lacking` are the variables of the
/// profile that are not there; relative paths start at `directory`.
pub(in crate::config) fn read(
    table: Table<'_>,
    profile: Option<Table<'_>>,
    lacking: Vec<String>,
    directory: &Path,
) -> Option<ProviderKind> {
    for key in keys::NOT_CUSTOM {
        if let Some(place) = table.place_of(key) {
            let next = match *key {
                "device_authorization_endpoint" => "it has no logins with a code: remove it",
                "authorization_parameters" => "write them behind the \"?\" of code_link",
                "refused" | "refused_status" => "write it into [provider.NAME.renew]",
                "subject_claim" => "write answer.subject into [provider.NAME.exchange] or .user_info",
                _ => "write its URL into [provider.NAME.exchange], .renew, .sign_out or .user_info",
            };
            table.error(place, format!("{key} is not for kind = \"custom\"; {next}"));
        }
    }
    let missing = RefCell::new(lacking);
    let layers = Layers::new(table, profile, &missing);
    let code_link = layers.required("code_link", code_link);
    let callback = callback(&layers);
    let [exchange, renew, sign_out, user_info] =
        [EXCHANGE, RENEW, SIGN_OUT, USER_INFO].map(|role| operation::read(&layers, &role));
    if exchange.is_none() {
        layers.lacks("exchange.url");
    }
    let sign_out_ends_user = layers.inside("sign_out").and_then(|it| it.parsed("ends", ends_user));
    let issuer = layers.parsed("issuer", endpoint::issuer);
    let id_token = id_token(&layers, issuer.is_some(), directory);

    let told_by_token = !matches!(id_token, None | Some(IdTokenRule::Ignored));
    let told_by_exchange = exchange.as_ref().is_some_and(|it| it.answer.subject.is_some());
    if exchange.is_some() && !told_by_token && !told_by_exchange && user_info.is_none() {
        layers.lacks("user_info (or exchange.answer.subject, or jwks_uri and issuer for ID tokens)");
    }
    if told_by_token && exchange.as_ref().is_some_and(|it| it.answer.id_token.is_none()) {
        layers.lacks("exchange.answer.id_token");
    }
    if let Some(code_link) = &code_link {
        check_state(&layers, code_link, callback.as_ref());
        let sends_verifier = exchange.iter().flat_map(Operation::templates).any(|it| it.uses(P::CodeVerifier));
        if sends_verifier != code_link.uses(P::CodeChallenge) {
            let message =
                "{code_challenge} in code_link and {code_verifier} in exchange go together; write both or none";
            layers.error("code_link", message);
        }
    }
    let needs_refresh = |it: &Operation| it.templates().any(|template| template.uses(P::RefreshToken));
    if renew.is_none() && sign_out.as_ref().is_some_and(needs_refresh) {
        layers.error(
            "sign_out",
            "sign_out sends {refresh_token}, which is only kept where there is renew; add [provider.NAME.renew]",
        );
    }
    let has_secret = table.place_of("client_secret").is_some();
    let read = [&exchange, &renew, &sign_out, &user_info];
    let uses_secret = read.into_iter().flatten().flat_map(Operation::templates).any(|it| it.uses(P::ClientSecret));
    if uses_secret && !has_secret {
        layers.error(
            "client_secret",
            "{client_secret} is to be sent, and there is none; add client_secret = { file = \"...\" }",
        );
    }
    if report(table, profile, &missing.take()) {
        return None;
    }
    let (code_link, callback, exchange) = (code_link?, callback?, exchange?);
    let issuer = issuer.or_else(|| endpoint::origin(&exchange.url))?;
    Some(ProviderKind::Custom(Box::new(CustomSettings {
        code_link,
        callback,
        issuer,
        id_token: id_token?,
        exchange,
        renew,
        sign_out,
        sign_out_ends_user: sign_out_ends_user.unwrap_or(false),
        user_info,
    })))
}

/// One sentence with everything that is missing; whether there is any.
fn report(table: Table<'_>, profile: Option<Table<'_>>, missing: &[String]) -> bool {
    let as_text = |text: &str| Ok::<_, Complaint>(text.to_owned());
    let unknown = profile.and_then(|profile| profile.list("unknown", as_text)).unwrap_or_default();
    // In the order in which the profile names them; then the others.
    let (mut named, others): (Vec<_>, Vec<_>) = missing.iter().partition(|key| unknown.contains(key));
    named.sort_by_key(|key| unknown.iter().position(|name| name == *key));
    named.extend(others);
    let listed = named.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(", ");
    if listed.is_empty() {
        return false;
    }
    let example = "docs/guide/custom-provider.md has whole examples";
    let found_in = profile.and_then(|profile| profile.parsed("found_in", as_text));
    let name = table.parsed("profile", as_text);
    let message = match (name, found_in) {
        (Some(name), Some(found_in)) => {
            format!(
                "profile {name:?} cannot know these, and they must be added here: {listed}; they are in {found_in}; {example}"
            )
        }
        _ => format!("kind = \"custom\" needs more here: {listed}; the provider's documents tell them; {example}"),
    };
    table.error(table.place(), message);
    true
}

/// Placeholders in the query only: what a browser or a peer says must not choose the host.
fn code_link(text: &str) -> Result<Template, Complaint> {
    let template = Template::parse(text, &IN_CODE_LINK)?;
    let (before, _) = text.split_once('?').unwrap_or((text, ""));
    Template::parse(before, &[]).map_err(|_| {
        Complaint::new("must have its placeholders behind the \"?\": nothing that is filled in may choose host or path")
    })?;
    endpoint::provider_url(&template.fill(|_| "x"))?;
    Ok(template)
}

fn callback(layers: &Layers<'_>) -> Option<CallbackNames> {
    let Some(callback) = layers.within("callback", &keys::CALLBACK) else {
        layers.lacks("callback.code");
        layers.lacks("callback.state");
        return None;
    };
    let name = |key: &str| callback.parsed(key, value::plain);
    let state = callback.required("state", |text| Ok(text.to_owned()));
    let code = callback.required("code", value::plain);
    let names = CallbackNames {
        code: code?,
        state: Some(state?).filter(|state| !state.is_empty()),
        error: name("error").unwrap_or_else(|| "error".to_owned()),
        error_description: name("error_description").unwrap_or_else(|| "error_description".to_owned()),
    };
    let all = [Some(&names.code), names.state.as_ref(), Some(&names.error), Some(&names.error_description)];
    let mut all: Vec<_> = all.into_iter().flatten().collect();
    let length = all.len();
    all.sort();
    all.dedup();
    if all.len() < length {
        layers.error("callback", "callback gives two things the same name");
        return None;
    }
    Some(names)
}

/// A state that is sent comes back, and one that comes back was sent.
fn check_state(layers: &Layers<'_>, code_link: &Template, callback: Option<&CallbackNames>) {
    let Some(callback) = callback else { return };
    match (code_link.uses(P::State), callback.state.is_some()) {
        (false, true) => layers.error(
            "code_link",
            "code_link has no {state}, so none comes back; add it, or write callback.state = \"\" if this provider has none",
        ),
        (true, false) => layers.error(
            "callback",
            "code_link sends {state}; write in callback.state under which name it comes back",
        ),
        _ => {}
    }
}

fn ends_user(text: &str) -> Result<bool, Complaint> {
    match text {
        "session" => Ok(false),
        "user" => Ok(true),
        other => Err(not_one_of(other, &["session", "user"])),
    }
}

/// Keys mean that ID tokens are verified; without, they are only believed if the administrator says so.
fn id_token(layers: &Layers<'_>, has_issuer: bool, directory: &Path) -> Option<IdTokenRule> {
    let url = layers.parsed("jwks_uri", endpoint::provider_url).map(Keys::Url);
    let file = layers.parsed("keys_file", |text| readable(&directory.join(text))).map(Keys::File);
    if url.is_some() && file.is_some() {
        layers.error("keys_file", "the keys come from one place only: write jwks_uri or keys_file");
    }
    let keys = url.or(file);
    let rules = ["verified", "trusted_from_tls", "ignored"];
    let usual = if keys.is_some() { rules[0] } else { rules[2] };
    let told = if layers.with("id_token").is_some() {
        layers.parsed("id_token", |text| {
            rules.into_iter().find(|rule| *rule == text).ok_or_else(|| not_one_of(text, &rules))
        })?
    } else {
        usual
    };
    if told != "ignored" && !has_issuer {
        layers.lacks("issuer");
    }
    match (told, keys) {
        ("verified", Some(keys)) => Some(IdTokenRule::Verified(keys)),
        ("verified", None) => {
            layers.lacks("jwks_uri (or keys_file)");
            None
        }
        ("trusted_from_tls", Some(_)) => {
            layers.error("id_token", format!("id_token is {told:?}, yet there are keys; remove one of them"));
            None
        }
        ("trusted_from_tls", _) => Some(IdTokenRule::TrustedFromTls),
        _ => Some(IdTokenRule::Ignored),
    }
}
