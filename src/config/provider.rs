//! `[provider.NAME]`: one client registration at an identity provider.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokenkeeper_protocol::{ProviderName, Secret};

use super::custom;
use super::endpoint;
use super::keys;
use super::secret::{self, SecretPlaces};
use super::settings::{
    ClientAuthentication, Courtesy, Endpoints, ProviderKind, ProviderSettings, RedirectUri, RefreshMode,
};
use super::table::{At, Entry, Table, suggest};
use super::value::{self, Complaint, DAY, HOUR, MINUTE};

/// What the provider tables are read against.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    /// The directory of the main file: relative paths start there.
    pub(super) directory: PathBuf,
    pub(super) secrets: SecretPlaces,
}

/// The greatest age of a session unless told: what providers commonly allow a refresh token.
const MAX_AGE: Duration = Duration::from_secs(30 * DAY);
/// No session and no token lives longer than this, whatever the configuration says.
const LONGEST: u64 = 3650 * DAY;
/// Long enough that most refreshes find the old token valid, early enough for a provider that is down for an hour.
const REFRESH_AT_PERCENT: u8 = 70;
/// What providers that do not tell the life of a token commonly give.
const DEFAULT_LIFE: Duration = Duration::from_secs(HOUR);
/// Less than a daemon that is told to stop waits for what it has begun.
const LONGEST_TIMEOUT: u64 = 25;
/// A provider that is asked for more at once by one client would take it for an attack.
const MOST_AT_ONCE: u64 = 256;
/// Enough to be done with a thousand sessions in a minute or two at a provider that takes its time.
const CONCURRENCY: usize = 8;
/// Fifty in a second: what the large providers let one client have.
const PER_MINUTE: u32 = 50 * 60;
/// Longer than any healthy provider takes.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Parameters of an authorization request that the daemon sets, or that would lead its answer elsewhere.
const NOT_TO_BE_TOLD: [&str; 14] = [
    "response_type",
    "response_mode",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "login_hint",
    "acr_values",
    "request",
    "request_uri",
];

/// The settings of the provider `name`, or `None` with at least one finding.
pub(super) fn read(name: &At<&str>, table: Table<'_>, around: &Surroundings) -> Option<ProviderSettings> {
    let checked = name.value.parse().map_err(|error| Complaint::new(format!("{:?} is wrong: {error}", name.value)));
    let name: Option<ProviderName> = table.accept("provider", &name.place, checked);
    table.check_keys(&keys::PROVIDER);
    let dialect = table.parsed("kind", dialect).unwrap_or(Dialect::Oidc);
    let is_oidc = dialect == Dialect::Oidc;
    let (document, lacking) = if dialect == Dialect::Custom { custom::profile::of(table) } else { None }.unzip();
    let profile = document.as_ref().and_then(|document| Some((document, table.parse(document)?)));
    let profile = profile.as_ref().map(|(document, root)| table.beside(document, root));
    let usual = profile.unwrap_or(table);
    let kind = match dialect {
        Dialect::Oidc => oidc(table),
        Dialect::Oauth2 => oauth2(table),
        Dialect::Custom => custom::read::read(table, profile, lacking.unwrap_or_default(), &around.directory),
    };
    let client_id = table.required("client_id", "\"shop\"", value::plain);
    let (client_secret, client_authentication) = client(table, usual, dialect, &around.secrets);

    // Every value is read before the first missing one ends it, so that all that is wrong is reported.
    let (redirect_uris, scopes) = (redirect_uris(table), scopes(layer(table, usual, "scopes"), is_oidc));
    let resource = resource(table, dialect);
    let authorization_parameters = authorization_parameters(table);
    let refused = table.list("refused", value::plain).unwrap_or_default();
    let refused_status = table.numbers("refused_status", 400..=499).unwrap_or_default();
    let user_name_claim = layer(table, usual, "user_name_claim").parsed("user_name_claim", value::plain);
    let max_age = layer(table, usual, "max_age").parsed("max_age", value::span(1..=LONGEST));
    let refresh_at = table.parsed("refresh_at", value::percentage(10..=95));
    let refresh = table.parsed("refresh", refresh_mode);
    let rotates = table.parsed("rotation", rotates);
    let reuse_grace = table.parsed("reuse_grace", value::span(0..=HOUR));
    let refresh_token_idle = table.parsed("refresh_token_idle", value::span(MINUTE..=LONGEST));
    let default_life = layer(table, usual, "default_life").parsed("default_life", value::span(1..=LONGEST));
    let ca_file = table.parsed("ca_file", |text| readable(&around.directory.join(text)));
    let proxy = table.parsed("proxy", endpoint::proxy);
    let timeout = table.parsed("timeout", value::span(1..=LONGEST_TIMEOUT));
    let concurrency = table.number("concurrency", 1..=MOST_AT_ONCE);
    let rate = table.parsed("rate", value::rate);
    Some(ProviderSettings {
        name: name?,
        kind: kind?,
        client_id: client_id?,
        client_secret,
        client_authentication,
        redirect_uris,
        scopes,
        resource,
        authorization_parameters,
        refused,
        refused_status: refused_status.into_iter().filter_map(|status| u16::try_from(status).ok()).collect(),
        user_name_claim: user_name_claim.unwrap_or_else(|| "preferred_username".to_owned()),
        max_age: max_age.unwrap_or(MAX_AGE),
        refresh_at_percent: refresh_at.unwrap_or(REFRESH_AT_PERCENT),
        refresh,
        rotates,
        reuse_grace: reuse_grace.unwrap_or_default(),
        refresh_token_idle,
        default_life: default_life.unwrap_or(DEFAULT_LIFE),
        ca_file,
        proxy,
        timeout: timeout.unwrap_or(TIMEOUT),
        courtesy: Courtesy {
            concurrency: concurrency.and_then(|number| usize::try_from(number).ok()).unwrap_or(CONCURRENCY),
            per_minute: Some(rate.unwrap_or(PER_MINUTE)),
        },
    })
}

/// How a provider is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Oidc,
    Oauth2,
    Custom,
}

fn dialect(text: &str) -> Result<Dialect, Complaint> {
    match text {
        "oidc" => Ok(Dialect::Oidc),
        "oauth2" => Ok(Dialect::Oauth2),
        "custom" => Ok(Dialect::Custom),
        other => Err(not_one_of(other, &["oidc", "oauth2", "custom"])),
    }
}

/// Where `key` is read: what the administrator writes wins over what is `usual` with the profile.
fn layer<'a>(table: Table<'a>, usual: Table<'a>, key: &str) -> Table<'a> {
    if table.place_of(key).is_some() { table } else { usual }
}

/// Reports each of `keys` that is there: they are for another kind.
fn not_for(table: Table<'_>, keys: &[&str], kind: &str) {
    for key in keys {
        if let Some(place) = table.place_of(key) {
            table.error(place, format!("{key} is for {kind}; remove it, or change kind"));
        }
    }
}

fn oidc(table: Table<'_>) -> Option<ProviderKind> {
    not_for(table, keys::CUSTOM_ONLY, "kind = \"custom\"");
    for key in keys::OAUTH2_ONLY {
        if let Some(place) = table.place_of(key) {
            let reason = "OpenID Connect providers tell it themselves";
            table.error(
                place,
                format!("{key} is for kind = \"oauth2\"; {reason}: remove it, or write kind = \"oauth2\""),
            );
        }
    }
    let revocation = table.parsed("revocation_endpoint", endpoint::provider_url);
    let device = table.parsed("device_authorization_endpoint", endpoint::provider_url);
    let issuer = table.required("issuer", "\"https://id.corp.example\"", endpoint::issuer)?;
    Some(ProviderKind::Oidc { issuer, revocation, device })
}

fn oauth2(table: Table<'_>) -> Option<ProviderKind> {
    not_for(table, keys::CUSTOM_ONLY, "kind = \"custom\"");
    let example = "\"https://id.corp.example/...\"";
    let authorization = table.required("authorization_endpoint", example, endpoint::provider_url);
    let token = table.required("token_endpoint", example, endpoint::provider_url);
    let userinfo = table.required("userinfo_endpoint", example, endpoint::provider_url);
    let revocation = table.parsed("revocation_endpoint", endpoint::provider_url);
    let device = table.parsed("device_authorization_endpoint", endpoint::provider_url);
    let subject_claim = table.parsed("subject_claim", value::plain).unwrap_or_else(|| "sub".to_owned());
    let issuer = table.parsed("issuer", endpoint::issuer);
    let (authorization, token, userinfo) = (authorization?, token?, userinfo?);
    let issuer = issuer.or_else(|| endpoint::origin(&token))?;
    Some(ProviderKind::Oauth2(Endpoints { authorization, token, userinfo, subject_claim, revocation, device, issuer }))
}

/// The secret, and how it is presented: as most providers have it unless told.
fn client(
    table: Table<'_>,
    profile: Table<'_>,
    dialect: Dialect,
    places: &SecretPlaces,
) -> (Option<Secret>, ClientAuthentication) {
    let has_secret = table.place_of("client_secret").is_some();
    let secret = secret::read(table, places);
    let told = table.parsed("client_authentication", client_authentication);
    if let (Some(told), Some(place)) = (told, table.place_of("client_authentication")) {
        match (told, has_secret) {
            (ClientAuthentication::None, true) if dialect != Dialect::Custom => {
                table.error(
                    place,
                    "client_authentication is \"none\", yet there is a client_secret; remove one of them",
                );
            }
            (ClientAuthentication::Basic | ClientAuthentication::Post, false) => {
                table.error(place, "client_authentication needs a client_secret, such as { file = \"corp\" }");
            }
            (ClientAuthentication::Post, true) if dialect == Dialect::Custom => {
                table.error(
                    place,
                    "client_authentication \"post\" is for standard providers; write {client_id} and {client_secret} into send",
                );
            }
            _ => {}
        }
    }
    // Where a dialect is described, a secret goes nowhere but where it is written.
    let of_profile =
        || layer(table, profile, "client_authentication").parsed("client_authentication", client_authentication);
    let usual = match (has_secret, dialect) {
        (false, _) => ClientAuthentication::None,
        (true, Dialect::Custom) => of_profile().unwrap_or(ClientAuthentication::None),
        (true, Dialect::Oidc | Dialect::Oauth2) => ClientAuthentication::Basic,
    };
    (secret, told.unwrap_or(usual))
}

fn client_authentication(text: &str) -> Result<ClientAuthentication, Complaint> {
    match text {
        "basic" => Ok(ClientAuthentication::Basic),
        "post" => Ok(ClientAuthentication::Post),
        "none" => Ok(ClientAuthentication::None),
        other => Err(not_one_of(other, &["basic", "post", "none"])),
    }
}

fn redirect_uris(table: Table<'_>) -> Vec<RedirectUri> {
    let uris = table.list("redirect_uris", endpoint::redirect_uri).unwrap_or_else(|| vec![RedirectUri::Loopback]);
    if let (true, Some(place)) = (uris.is_empty(), table.place_of("redirect_uris")) {
        table.error(place, "redirect_uris is empty, so that nobody could log in; write at least [\"loopback\"]");
    }
    uris
}

fn scopes(table: Table<'_>, is_oidc: bool) -> Vec<String> {
    let usual: &[&str] = if is_oidc { &["openid", "profile", "email", "offline_access"] } else { &[] };
    let usual = || usual.iter().map(|&scope| scope.to_owned()).collect();
    let scopes: Vec<_> = table.list("scopes", value::scope).unwrap_or_else(usual);
    let lacks_openid = is_oidc && !scopes.iter().any(|scope| scope == "openid");
    if let (true, Some(place)) = (lacks_openid, table.place_of("scopes")) {
        table.error(place, "scopes must hold \"openid\": without it the provider does not say who logged in");
    }
    scopes
}

fn resource(table: Table<'_>, dialect: Dialect) -> Vec<String> {
    if let (Dialect::Custom, Some(place)) = (dialect, table.place_of("resource")) {
        table.error(
            place,
            "resource is for providers that follow RFC 8707; a custom one is sent what its tables say: remove it",
        );
    }
    table.list("resource", endpoint::resource).unwrap_or_default()
}

fn authorization_parameters(table: Table<'_>) -> Vec<(String, String)> {
    let Some(parameters) = table.table("authorization_parameters") else { return Vec::new() };
    let told = parameters.entries().into_iter().filter_map(|(name, value)| {
        let complaint = match value {
            Entry::Text(value) if !NOT_TO_BE_TOLD.contains(&name.value) => {
                return Some((name.value.to_owned(), value.value.to_owned()));
            }
            Entry::Text(_) => "is set by the daemon itself: remove it",
            Entry::Number(_) | Entry::Flag(_) | Entry::Table(_) => "must be a string, in quotes",
        };
        table.error(name.place, format!("{} of authorization_parameters {complaint}", name.value));
        None
    });
    told.collect()
}

fn refresh_mode(text: &str) -> Result<RefreshMode, Complaint> {
    match text {
        "always" => Ok(RefreshMode::Always),
        "when_used" => Ok(RefreshMode::WhenUsed),
        other => Err(not_one_of(other, &["always", "when_used"])),
    }
}

fn rotates(text: &str) -> Result<bool, Complaint> {
    match text {
        "always" => Ok(true),
        "never" => Ok(false),
        other => Err(not_one_of(other, &["always", "never"])),
    }
}

pub(super) fn readable(path: &Path) -> Result<PathBuf, Complaint> {
    match File::open(path) {
        Ok(_) => Ok(path.to_owned()),
        Err(error) => Err(Complaint::new(format!(
            "cannot be read: {}: {error}; correct the path, or let the daemon's user read it",
            path.display()
        ))),
    }
}

pub(super) fn not_one_of(word: &str, allowed: &[&str]) -> Complaint {
    let suggestion = suggest(word, allowed);
    Complaint::new(format!("{word:?} is not known; {suggestion}"))
}
