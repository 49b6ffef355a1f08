//! Custom providers as administrators write them, rightly and wrongly.

use super::*;
use crate::config::settings::{ClientAuthentication, ProviderKind, ProviderSettings};
use crate::config::test_host::Host;

/// A provider as it may be: nothing in it has the name that a standard gives it.
const ODD: &str = r#"
[provider.odd]
kind = "custom"
client_id = "shop"
client_secret = { file = "odd" }
code_link = "https://login.odd.example/start?app={client_id}&back={redirect_uri}&s={state}"
callback = { code = "CODE", state = "s" }

[provider.odd.exchange]
url = "https://api.odd.example/GetTokenFromCode"
body = "json"
send = { Client = { Id = "{client_id}", Secret = "{client_secret}" }, Code = "{code}", Version = 2, Strict = true }
headers = { X-Api = "v2" }
answer = { access_token = "/Data/AccessToken", refresh_token = "/Data/RefreshToken", expires_in_milliseconds = "/Data/Life", subject = "/Data/User/Id" }

[provider.odd.renew]
url = "https://api.odd.example/refresh"
method = "GET"
headers = { Authorization = "Refresh {refresh_token}" }
answer = { access_token = "/Data/AccessToken", error = "/Code" }
refused = ["TOKEN_DEAD"]
refused_status = [410]
later = ["BUSY"]

[provider.odd.sign_out]
url = "https://api.odd.example/GlobalSignOut"
method = "DELETE"
headers = { Authorization = "Bearer {access_token}" }
ends = "user"

[[allow]]
who = "user:7"
may = ["login", "token"]
provider = "odd"
"#;

fn host(text: &str) -> Host {
    Host::new().file("secrets/odd", "hunter2").file("keys.json", "{\"keys\":[]}").main(text)
}

fn settings(text: &str) -> (ProviderSettings, CustomSettings) {
    let settings = host(text).settings();
    let provider = settings.providers.values().next().expect("a provider").as_ref().clone();
    let ProviderKind::Custom(custom) = provider.kind.clone() else { panic!("{:?}", provider.kind) };
    (provider, *custom)
}

/// What is wrong with the odd provider after a change.
fn errors(from: &str, to: &str) -> String {
    assert!(ODD.contains(from), "{from}");
    host(&ODD.replacen(from, to, 1)).errors()
}

#[test]
fn a_provider_without_any_standard_is_read_as_it_is_written() {
    let (provider, odd) = settings(ODD);
    assert_eq!(provider.client_authentication, ClientAuthentication::None, "the secret goes only where it is written");
    assert_eq!(odd.issuer, "https://api.odd.example");
    assert_eq!((odd.callback.code.as_str(), odd.callback.state.as_deref()), ("CODE", Some("s")));
    assert_eq!((odd.exchange.method, odd.exchange.body), (Method::Post, Body::Json));
    let paths: Vec<_> = odd.exchange.send.iter().map(|field| field.path.join(".")).collect();
    assert_eq!(paths.len(), 5);
    assert!(paths.contains(&"Client.Secret".to_owned()), "{paths:?}");
    assert_eq!(odd.exchange.answer.expires, Some((Expiry::InMilliseconds, "/Data/Life".to_owned())));
    let renew = odd.renew.expect("a renewal");
    assert_eq!((renew.method, renew.body, renew.refused_status), (Method::Get, Body::Query, vec![410]));
    assert!(odd.sign_out_ends_user);
    assert_eq!(odd.id_token, IdTokenRule::Ignored);
    assert_eq!(host(ODD).warnings(), "");
}

#[test]
fn every_slip_is_told_with_its_place_and_what_would_be_right() {
    for (from, to, expected) in [
        ("\"{code}\"", "\"{codee}\"", "Code holds \"{codee}\", which cannot stand here; did you mean \"{code}\"?"),
        ("\"{code}\"", "\"x\"", "exchange.send carries no {code}"),
        ("Refresh {refresh_token}", "Refresh", "renew.send carries no {refresh_token}"),
        ("Bearer {access_token}", "Bearer", "sign_out.send carries no {refresh_token} or {access_token} or {id_token}"),
        ("\"/Data/AccessToken\"", "\"Data.AccessToken\"", "did you mean \"/Data/AccessToken\"?"),
        ("\"/Code\"", "\"/a~b\"", "is no JSON pointer"),
        ("https://api.odd.example/refresh", "http://api.odd.example/refresh", "must begin with https://"),
        ("https://api.odd.example/refresh", "https://api.odd.example/{subject}", "no placeholder may stand here"),
        ("\"GET\"", "\"get\"", "method \"get\" is not known; allowed are \"GET\""),
        ("method = \"GET\"", "method = \"GET\"\nbody = \"form\"", "body must be \"query\" with method = \"GET\""),
        ("body = \"json\"", "body = \"form\"", "Client is a table, which goes with body = \"json\" only"),
        ("X-Api = ", "Cookie = ", "the header \"Cookie\" is not for the configuration to set"),
        ("[410]", "[200]", "refused_status must hold numbers from 400 to 499"),
        ("login.odd.example/start?app={client_id}", "{client_id}.odd.example/start?x=1", "behind the \"?\""),
        ("app={client_id}", "app={client_secret}", "code_link holds \"{client_secret}\", which cannot stand here"),
        ("&s={state}", "", "code_link has no {state}"),
        ("state = \"s\"", "state = \"\"", "code_link sends {state}"),
        ("state = \"s\"", "state = \"CODE\"", "callback gives two things the same name"),
        ("s={state}", "s={state}&c={code_challenge}", "write both or none"),
        ("refused =", "refusd =", "unknown key \"refusd\"; did you mean \"refused\"?"),
        ("access_token = \"/Data/A", "acces_token = \"/Data/A", "did you mean \"access_token\"?"),
        ("client_secret = { file = \"odd\" }", "", "{client_secret} is to be sent, and there is none"),
        ("ends = \"user\"", "ends = \"all\"", "ends \"all\" is not known; allowed are \"session\", \"user\""),
        ("kind = \"custom\"", "kind = \"custom\"\nid_token = \"verified\"", "needs more here: issuer, jwks_uri"),
        (
            "kind = \"custom\"",
            "kind = \"custom\"\ntoken_endpoint = \"https://x.example\"",
            "is not for kind = \"custom\"",
        ),
        (
            "kind = \"custom\"",
            "kind = \"custom\"\ndevice_authorization_endpoint = \"https://x.example\"",
            "it has no logins with a code",
        ),
        (", subject = \"/Data/User/Id\"", "", "needs more here: user_info (or exchange.answer.subject"),
    ] {
        let found = errors(from, to);
        assert!(found.contains(expected), "{to}: {found}");
        assert!(found.starts_with("tokenkeeper.toml:"), "{found}");
    }
}

#[test]
fn an_empty_custom_provider_is_told_everything_that_it_needs_in_one_sentence() {
    let found = host("[provider.odd]\nkind = 'custom'\nclient_id = 'x'\n").errors();
    let expected = "tokenkeeper.toml:1:1: kind = \"custom\" needs more here: code_link, callback.code, callback.state, \
                    exchange.url; the provider's documents tell them; docs/guide/custom-provider.md has whole examples";
    assert_eq!(found, expected);
}

#[test]
fn a_sign_out_by_refresh_token_needs_a_renewal() {
    let (before, rest) = ODD.split_once("[provider.odd.renew]").expect("it has one");
    let (_, after) = rest.split_once("[provider.odd.sign_out]").expect("it has one");
    let without = format!("{before}[provider.odd.sign_out]{after}");
    assert_eq!(settings(&without).1.renew, None);
    let found = host(&without.replace("Bearer {access_token}", "Bearer {refresh_token}")).errors();
    assert!(found.contains("sign_out sends {refresh_token}, which is only kept where there is renew"), "{found}");
}

#[test]
fn a_secret_in_an_address_is_worth_a_warning() {
    let text =
        ODD.replace("headers = { Authorization = \"Refresh {refresh_token}\" }", "send = { rt = \"{refresh_token}\" }");
    assert!(host(&text).warnings().contains("renew.send.rt puts a secret into the address, and servers log addresses"));
}

#[test]
fn id_tokens_are_believed_only_with_keys_or_when_the_administrator_says_so() {
    let with = |lines: &str| {
        let text = ODD
            .replace("kind = \"custom\"", &format!("kind = \"custom\"\n{lines}"))
            .replace("subject = \"/Data/User/Id\"", "id_token = \"/Data/IdToken\"");
        settings(&text).1
    };
    let issuer = "issuer = \"https://odd.example\"\n";
    let url = with(&format!("{issuer}jwks_uri = \"https://odd.example/keys\""));
    assert_eq!(url.id_token, IdTokenRule::Verified(Keys::Url("https://odd.example/keys".to_owned())));
    let IdTokenRule::Verified(Keys::File(path)) = with(&format!("{issuer}keys_file = \"keys.json\"")).id_token else {
        panic!("no keys")
    };
    assert!(path.ends_with("keys.json") && path.is_absolute());
    let trusted = with(&format!("{issuer}id_token = \"trusted_from_tls\""));
    assert_eq!((trusted.id_token, trusted.issuer.as_str()), (IdTokenRule::TrustedFromTls, "https://odd.example"));
}

#[test]
fn keys_of_custom_providers_are_refused_elsewhere() {
    let found =
        host("[provider.x]\nissuer = 'https://x.example'\nclient_id = 'x'\ncode_link = 'https://x.example'\n").errors();
    assert_eq!(found, "tokenkeeper.toml:4:1: code_link is for kind = \"custom\"; remove it, or change kind");
}

#[test]
fn cripsa_names_everything_that_only_its_own_documents_tell() {
    let found = host("[provider.cripsa]\nkind = 'custom'\nprofile = 'cripsa'\nclient_id = 'x'\n").errors();
    let expected = "tokenkeeper.toml:1:1: profile \"cripsa\" cannot know these, and they must be added here: code_link, \
                    callback.code, callback.state, exchange.url, exchange.send, exchange.answer.access_token, renew.url, \
                    renew.send, renew.answer.access_token, sign_out.url, sign_out.send, user_info (or \
                    exchange.answer.subject, or jwks_uri and issuer for ID tokens); they are in the documents that came \
                    with your registration at Cripsa";
    assert!(found.starts_with(expected), "{found}");
    assert_eq!(found.lines().count(), 1, "{found}");
}

#[test]
fn cripsa_is_whole_once_its_documents_were_copied() {
    let text =
        ODD.replace("kind = \"custom\"", "kind = \"custom\"\nprofile = \"cripsa\"").replace("ends = \"user\"\n", "");
    let (provider, cripsa) = settings(&text);
    assert_eq!((provider.default_life.as_secs(), provider.max_age.as_secs()), (86_400, 30 * 86_400));
    assert!(cripsa.sign_out_ends_user);
    let own = text.replace("profile = \"cripsa\"", "profile = \"cripsa\"\ndefault_life = \"2h\"");
    assert_eq!(settings(&own).0.default_life.as_secs(), 7200, "what is written wins");
}

const COGNITO: &str = "[provider.pool]\nkind = 'custom'\nprofile = 'cognito'\nclient_id = 'x'\n";

#[test]
fn cognito_needs_three_names() {
    let found = host(COGNITO).errors();
    let expected = "profile \"cognito\" cannot know these, and they must be added here: domain, region, user_pool_id; they are in the AWS console";
    assert!(found.contains(expected) && found.lines().count() == 1, "{found}");
    let named =
        "domain = 'shop.auth.eu-west-1.amazoncognito.com'\nregion = 'eu-west-1'\nuser_pool_id = 'eu-west-1_Ab'\n";
    let (provider, pool) = settings(&format!("{COGNITO}{named}client_secret = {{ file = 'odd' }}\n"));
    assert_eq!(provider.client_authentication, ClientAuthentication::Basic);
    assert_eq!(provider.user_name_claim, "cognito:username");
    assert_eq!(provider.scopes, ["openid", "email", "profile"]);
    assert_eq!(pool.issuer, "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab");
    assert_eq!(pool.exchange.url, "https://shop.auth.eu-west-1.amazoncognito.com/oauth2/token");
    assert!(
        matches!(pool.id_token, IdTokenRule::Verified(Keys::Url(url)) if url.ends_with("_Ab/.well-known/jwks.json"))
    );
    assert!(!pool.sign_out_ends_user && pool.code_link.uses(Placeholder::CodeChallenge));
    let public = settings(&format!("{COGNITO}{named}")).0;
    assert_eq!(public.client_authentication, ClientAuthentication::None);
    let evil = host(&format!("{COGNITO}{named}").replace("eu-west-1_Ab", "x\"\\nkind"));
    assert!(evil.errors().contains("user_pool_id must be a plain name"), "{}", evil.errors());
}

#[test]
fn an_unknown_profile_is_told_the_known_ones() {
    let found = host(&COGNITO.replace("cognito", "congito")).errors();
    assert!(found.contains("profile \"congito\" is not known; did you mean \"cognito\"?"), "{found}");
}
