//! `[provider.NAME]`: one client registration at an identity provider.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokenkeeper_protocol::{ProviderName, Secret};

use super::endpoint;
use super::keys;
use super::secret::{self, SecretPlaces};
use super::settings::{ClientAuthentication, Endpoints, ProviderKind, ProviderSettings, RedirectUri, RefreshMode};
use super::table::{At, Table, suggest};
use super::value::{self, Complaint, DAY, HOUR};

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
/// Longer than any healthy provider takes.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The settings of the provider `name`, or `None` with at least one finding.
pub(super) fn read(name: &At<&str>, table: Table<'_>, around: &Surroundings) -> Option<ProviderSettings> {
    let checked = name.value.parse().map_err(|error| Complaint::new(format!("{:?} is wrong: {error}", name.value)));
    let name: Option<ProviderName> = table.accept("provider", &name.place, checked);
    table.check_keys(&keys::PROVIDER);
    let is_oidc = table.parsed("kind", is_oidc).unwrap_or(true);
    let kind = if is_oidc { oidc(table) } else { oauth2(table) };
    let client_id = table.required("client_id", "\"shop\"", value::plain);
    let (client_secret, client_authentication) = client(table, &around.secrets);

    // Every value is read before the first missing one ends it, so that all that is wrong is reported.
    let (redirect_uris, scopes) = (redirect_uris(table), scopes(table, is_oidc));
    let user_name_claim = table.parsed("user_name_claim", value::plain);
    let max_age = table.parsed("max_age", value::span(1..=LONGEST));
    let refresh_at = table.parsed("refresh_at", value::percentage(10..=95));
    let refresh = table.parsed("refresh", refresh_mode);
    let reuse_grace = table.parsed("reuse_grace", value::span(0..=HOUR));
    let default_life = table.parsed("default_life", value::span(1..=LONGEST));
    let ca_file = table.parsed("ca_file", |text| ca_file(&around.directory.join(text)));
    let proxy = table.parsed("proxy", endpoint::proxy);
    let timeout = table.parsed("timeout", value::span(1..=LONGEST_TIMEOUT));
    Some(ProviderSettings {
        name: name?,
        kind: kind?,
        client_id: client_id?,
        client_secret,
        client_authentication,
        redirect_uris,
        scopes,
        user_name_claim: user_name_claim.unwrap_or_else(|| "preferred_username".to_owned()),
        max_age: max_age.unwrap_or(MAX_AGE),
        refresh_at_percent: refresh_at.unwrap_or(REFRESH_AT_PERCENT),
        refresh,
        reuse_grace: reuse_grace.unwrap_or_default(),
        default_life: default_life.unwrap_or(DEFAULT_LIFE),
        ca_file,
        proxy,
        timeout: timeout.unwrap_or(TIMEOUT),
    })
}

fn is_oidc(text: &str) -> Result<bool, Complaint> {
    match text {
        "oidc" => Ok(true),
        "oauth2" => Ok(false),
        "custom" => {
            Err(Complaint::new("\"custom\" is not available in this version; allowed are \"oidc\", \"oauth2\""))
        }
        other => Err(not_one_of(other, &["oidc", "oauth2"])),
    }
}

fn oidc(table: Table<'_>) -> Option<ProviderKind> {
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
fn client(table: Table<'_>, places: &SecretPlaces) -> (Option<Secret>, ClientAuthentication) {
    let has_secret = table.place_of("client_secret").is_some();
    let secret = secret::read(table, places);
    let told = table.parsed("client_authentication", client_authentication);
    if let (Some(told), Some(place)) = (told, table.place_of("client_authentication")) {
        match (told, has_secret) {
            (ClientAuthentication::None, true) => {
                table.error(
                    place,
                    "client_authentication is \"none\", yet there is a client_secret; remove one of them",
                );
            }
            (ClientAuthentication::Basic | ClientAuthentication::Post, false) => {
                table.error(place, "client_authentication needs a client_secret, such as { file = \"corp\" }");
            }
            _ => {}
        }
    }
    let usual = if has_secret { ClientAuthentication::Basic } else { ClientAuthentication::None };
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

fn refresh_mode(text: &str) -> Result<RefreshMode, Complaint> {
    match text {
        "always" => Ok(RefreshMode::Always),
        "when_used" => Ok(RefreshMode::WhenUsed),
        other => Err(not_one_of(other, &["always", "when_used"])),
    }
}

fn ca_file(path: &Path) -> Result<PathBuf, Complaint> {
    match File::open(path) {
        Ok(_) => Ok(path.to_owned()),
        Err(error) => Err(Complaint::new(format!(
            "cannot be read: {}: {error}; correct the path, or let the daemon's user read it",
            path.display()
        ))),
    }
}

fn not_one_of(word: &str, allowed: &[&str]) -> Complaint {
    let suggestion = suggest(word, allowed);
    Complaint::new(format!("{word:?} is not known; {suggestion}"))
}
