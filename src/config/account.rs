//! `[service_account.NAME]`: a session without a user, which the provider opens for our registration itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokenkeeper_protocol::{AccountName, ProviderName};

use super::allow::Known;
use super::settings::{AccountSettings, ClientAuthentication, ProviderKind, ProviderSettings};
use super::table::{At, Table};
use super::value::{self, Complaint};
use super::{endpoint, keys};

/// The providers that were read; one with errors of its own is missing.
type Providers = BTreeMap<ProviderName, Arc<ProviderSettings>>;

/// The settings of the service account `name`, or `None` with at least one finding.
pub(super) fn read(name: &At<&str>, table: Table<'_>, known: &Known, providers: &Providers) -> Option<AccountSettings> {
    let checked = name.value.parse().map_err(|error| Complaint::new(format!("{:?} is wrong: {error}", name.value)));
    let name: Option<AccountName> = table.accept("service_account", &name.place, checked);
    table.check_keys(&keys::SERVICE_ACCOUNT);
    let provider = table.text("provider").and_then(|provider| known.provider(&provider, &table));
    if table.place_of("provider").is_none() {
        table.missing("provider", "\"corp\"");
    }
    let scopes = scopes(table);
    let resource = table.list("resource", endpoint::resource);
    let provider = confidential(table, providers, &provider?)?;
    let resource = resource.unwrap_or_else(|| provider.resource.clone());
    Some(AccountSettings { name: name?, provider: provider.name.clone(), scopes, resource })
}

/// The provider, if we have something to show it who we are with. One that has errors of its own needs no second complaint.
fn confidential<'a>(table: Table<'_>, providers: &'a Providers, name: &ProviderName) -> Option<&'a ProviderSettings> {
    let provider = providers.get(name)?;
    if let ProviderKind::Custom(_) = provider.kind {
        let place = table.place_of("provider").unwrap_or_else(|| table.place());
        let next = "name one of kind \"oidc\" or \"oauth2\"";
        table.error(place, format!("provider {name} is of kind \"custom\", which has no client credentials; {next}"));
        return None;
    }
    if provider.client_authentication != ClientAuthentication::None {
        return Some(provider);
    }
    let reason = "client credentials (RFC 6749 section 4.4) are for clients with a secret";
    let place = table.place_of("provider").unwrap_or_else(|| table.place());
    table.error(place, format!("provider {name} has no client_secret; {reason}: give it one, or name another"));
    None
}

fn scopes(table: Table<'_>) -> Vec<String> {
    let scopes = table.list("scopes", value::scope).unwrap_or_default();
    if let (true, Some(place)) = (scopes.iter().any(|scope| scope == "offline_access"), table.place_of("scopes")) {
        let reason = "a service account has no refresh token and needs none";
        table.error(place, format!("scopes holds \"offline_access\"; {reason}: remove it"));
    }
    scopes
}

#[cfg(test)]
mod tests {
    use crate::config::test_host::Host;
    use crate::config::{AccountSettings, Settings};

    const CORP: &str = "[provider.corp]\nissuer = 'https://id.corp.example'\nclient_id = 'shop'\n\
                        client_secret = { file = 'corp' }\nresource = ['https://api.corp.example']\n\
                        [[allow]]\nwho = 'user:7'\nmay = ['login', 'token']\nprovider = 'corp'\nsessions = 'all'\n";

    fn with(lines: &str) -> Host {
        Host::new().file("secrets/corp", "x").main(CORP).file("conf.d/nightly.toml", lines)
    }

    fn nightly(settings: &Settings) -> AccountSettings {
        AccountSettings::clone(&settings.accounts[&"nightly".parse().unwrap()])
    }

    #[test]
    fn an_account_is_a_provider_and_what_to_ask_it_for() {
        let settings = with("[service_account.nightly]\nprovider = 'corp'\nscopes = ['reports', 'mail']\n").settings();
        let account = nightly(&settings);
        assert_eq!(
            (account.provider.as_str(), account.scopes),
            ("corp", vec!["reports".to_owned(), "mail".to_owned()])
        );
        assert_eq!(account.resource, ["https://api.corp.example"], "that of the provider unless told");
        let own = "[service_account.nightly]\nprovider = 'corp'\nresource = ['urn:corp:reports']\n";
        assert_eq!(nightly(&with(own).settings()).resource, ["urn:corp:reports"]);
    }

    #[test]
    fn an_account_in_two_files_is_an_error_that_names_both() {
        let host = with("[service_account.nightly]\nprovider = 'corp'\n")
            .file("conf.d/other.toml", "\n[service_account.nightly]\nprovider = 'corp'\n");
        let expected = "other.toml:2:1: [service_account.nightly] stands at nightly.toml:1:1 already; \
                        a table belongs in one file";
        assert_eq!(host.errors(), expected);
    }

    #[test]
    fn an_account_names_a_provider_that_is_there() {
        let errors = |lines: &str| with(&format!("[service_account.nightly]\n{lines}")).errors();
        let expected = "nightly.toml:2:12: no provider \"crop\" is configured; did you mean \"corp\"?";
        assert_eq!(errors("provider = 'crop'\n"), expected);
        assert_eq!(errors(""), "nightly.toml:1:1: provider is missing here; write for example: provider = \"corp\"");
    }

    #[test]
    fn a_provider_with_errors_of_its_own_is_complained_about_once() {
        let host = Host::new()
            .main("[provider.corp]\nissuer = 'https://id.corp.example'\n")
            .file("conf.d/nightly.toml", "[service_account.nightly]\nprovider = 'corp'\n");
        assert!(host.errors().lines().all(|line| line.contains("client_id is missing")), "{}", host.errors());
    }

    #[test]
    fn a_public_client_cannot_have_accounts() {
        let host = Host::new()
            .main("[provider.corp]\nissuer = 'https://id.corp.example'\nclient_id = 'shop'\n")
            .file("conf.d/nightly.toml", "[service_account.nightly]\nprovider = 'corp'\n");
        assert!(
            host.errors().starts_with("nightly.toml:2:1: provider corp has no client_secret; client credentials"),
            "{}",
            host.errors()
        );
    }

    #[test]
    fn what_an_account_is_called_and_asks_for_is_checked_like_everything_else() {
        let errors = |lines: &str| with(lines).errors();
        let nightly = |line: &str| errors(&format!("[service_account.nightly]\nprovider = 'corp'\n{line}\n"));
        assert!(errors("[service_account.Nightly]\nprovider = 'corp'\n").contains("the name of a service account is"));
        assert!(nightly("scope = ['x']").ends_with("unknown key \"scope\"; did you mean \"scopes\"?"));
        assert!(nightly("scopes = ['a b']").contains("without spaces"));
        assert!(nightly("scopes = ['offline_access']").contains("has no refresh token"));
        assert!(nightly("resource = ['reports']").contains("is no absolute URI"));
        assert!(nightly("resource = ['https://api.example/#x']").contains("is no absolute URI"));
    }

    #[test]
    fn an_account_that_nobody_may_use_is_worth_a_warning() {
        let text = "[service_account.nightly]\nprovider = 'corp'\n";
        assert_eq!(with(text).warnings(), "");
        let own = CORP.replace("sessions = 'all'\n", "");
        let host = Host::new().file("secrets/corp", "x").main(&own).file("conf.d/nightly.toml", text);
        assert!(host.warnings().starts_with("nightly.toml:1:18: nobody may use the service account nightly"));
    }

    #[test]
    fn a_provider_for_accounts_alone_needs_nobody_who_may_log_in() {
        let host = with("[service_account.nightly]\nprovider = 'corp'\n").main(&CORP.replace("'login', ", ""));
        assert_eq!(host.warnings(), "");
    }
}
