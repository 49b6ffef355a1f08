//! The fixtures do what they say: without this, a test that passes proves little.

use std::os::unix::net::UnixDatagram;

use crate::support::browser::Browser;
use crate::support::config::CLIENT_SECRET;
use crate::support::http::{self, basic};
use crate::support::{Fault, Lie, ScriptedProvider, SyslogReceiver};

const VERIFIER: &str = "a-verifier-of-more-than-43-characters-0123456789";

fn code(provider: &ScriptedProvider) -> String {
    use sha2::{Digest, Sha256};
    let challenge = data_encoding::BASE64URL_NOPAD.encode(&Sha256::digest(VERIFIER));
    let url = format!(
        "{}/authorize?redirect_uri=http://127.0.0.1:9/callback&state=s&nonce=n&scope=openid&code_challenge={challenge}",
        provider.issuer
    );
    let back = Browser::default().log_in_until(&url, "alice", "http://127.0.0.1:9/callback");
    http::parse(&back).query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
}

fn exchange(provider: &ScriptedProvider, code: &str) -> std::io::Result<http::Answer> {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", "http://127.0.0.1:9/callback"),
        ("code_verifier", VERIFIER),
    ];
    http::post_form(&format!("{}/token", provider.issuer), &[("Authorization", &basic("shop", CLIENT_SECRET))], &form)
}

fn refresh(provider: &ScriptedProvider, token: &str) -> std::io::Result<http::Answer> {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    http::post_form(&format!("{}/token", provider.issuer), &[("Authorization", &basic("shop", CLIENT_SECRET))], &form)
}

#[test]
fn the_scripted_provider_is_honest_until_it_is_told_to_lie() {
    use openidconnect::core::{CoreClient, CoreIdToken, CoreProviderMetadata};
    let provider = ScriptedProvider::start();
    let verified = || {
        let metadata = http::get(&format!("{}/.well-known/openid-configuration", provider.issuer)).unwrap();
        let metadata: CoreProviderMetadata = serde_json::from_str(&metadata.body).unwrap();
        let keys = http::get(&format!("{}/jwks", provider.issuer)).unwrap();
        let metadata = metadata.set_jwks(serde_json::from_str(&keys.body).unwrap());
        let client =
            CoreClient::from_provider_metadata(metadata, openidconnect::ClientId::new("shop".to_owned()), None);
        let answer = exchange(&provider, &code(&provider)).unwrap().json();
        let token: CoreIdToken = serde_json::from_value(answer["id_token"].clone()).unwrap();
        let nonce = openidconnect::Nonce::new("n".to_owned());
        token
            .claims(&client.id_token_verifier(), &nonce)
            .map(|claims| claims.subject().to_string())
            .map_err(|e| e.to_string())
    };
    assert_eq!(verified().as_deref(), Ok("sub-alice"));
    for lie in [Lie::Issuer, Lie::Audience, Lie::Signature, Lie::Unsigned, Lie::Nonce, Lie::Expired] {
        provider.lie(lie);
        assert!(verified().is_err(), "{lie:?} goes unnoticed");
    }
    provider.tell_the_truth();
    assert!(verified().is_ok());
}

#[test]
fn the_scripted_provider_takes_a_code_once_and_a_rotated_refresh_token_once() {
    let provider = ScriptedProvider::start();
    let code = code(&provider);
    let first = exchange(&provider, &code).unwrap();
    assert_eq!(first.status, 200);
    assert_eq!(exchange(&provider, &code).unwrap().json()["error"], "invalid_grant");
    let token = first.json()["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(refresh(&provider, &token).unwrap().status, 200);
    assert_eq!(refresh(&provider, &token).unwrap().status, 200);
    provider.rotate(true);
    assert_eq!(refresh(&provider, &token).unwrap().status, 200);
    assert_eq!(refresh(&provider, &token).unwrap().json()["error"], "invalid_grant");
    assert_eq!(provider.count("refresh_token"), 4);
}

#[test]
fn the_scripted_provider_loses_answers_holds_requests_and_goes_down_on_command() {
    let provider = ScriptedProvider::start();
    let answer = exchange(&provider, &code(&provider)).unwrap().json();
    let token = answer["refresh_token"].as_str().unwrap().to_owned();

    provider.rotate(true).fault("refresh_token", Fault::DropBefore).fault("refresh_token", Fault::DropAfter);
    assert!(refresh(&provider, &token).is_err());
    assert!(refresh(&provider, &token).is_err());
    assert_eq!(refresh(&provider, &token).unwrap().json()["error"], "invalid_grant", "the lost answer had spent it");

    provider.fault("/jwks", Fault::Hold).fault("/jwks", Fault::Answer(503, "<h1>busy</h1>".to_owned()));
    let url = format!("{}/jwks", provider.issuer);
    let held = std::thread::spawn({
        let url = url.clone();
        move || http::get(&url).unwrap().status
    });
    provider.wait_for("/jwks", 1);
    assert_eq!(http::get(&url).unwrap().status, 503);
    assert!(!held.is_finished());
    provider.release();
    assert_eq!(held.join().unwrap(), 200);

    provider.go_down();
    assert!(http::get(&url).is_err());
    provider.come_back();
    assert_eq!(http::get(&url).unwrap().status, 200);
}

#[test]
fn the_syslog_receiver_hears_every_transport() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let unix = SyslogReceiver::unix(&dir.path().join("syslog"));
    let sender = UnixDatagram::unbound().unwrap();
    sender.send_to(b"<86>1 - - one", dir.path().join("syslog")).unwrap();
    assert_eq!(unix.wait_for(&["one"]), "<86>1 - - one");

    let udp = SyslogReceiver::udp();
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(b"<86>1 - - two", udp.target.strip_prefix("udp:").unwrap()).unwrap();
    assert_eq!(udp.wait_for(&["two"]), "<86>1 - - two");

    let tcp = SyslogReceiver::tcp();
    let mut sender = std::net::TcpStream::connect(tcp.target.strip_prefix("tcp:").unwrap()).unwrap();
    sender.write_all(b"5 three4 four").unwrap();
    assert_eq!(tcp.wait_for(&["four"]), "four");
    assert_eq!(tcp.records(), ["three", "four"]);
}
