//! The HTTP socket as backends use it: logins, tokens, problems, and who may do what.

use std::io::{Read, Write};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::config::EVERYTHING;
use crate::support::deadline::Deadline;
use crate::support::http;
use crate::support::{Backend, Config, Daemon, Fault, Home, ScriptedProvider};

/// A daemon with a provider whose tokens live for so many seconds.
fn corp(life: u64) -> (ScriptedProvider, Home, Daemon) {
    let provider = ScriptedProvider::start();
    provider.access_life(life);
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    (provider, home, daemon)
}

fn token_of(session: &str) -> String {
    format!("/v1/sessions/{session}/token")
}

#[test]
fn a_backend_logs_a_user_in_and_gets_tokens_and_logs_them_out() {
    let (provider, home, _daemon) = corp(1000);
    let mut backend = Backend::connect(&home.http_socket());

    let user = backend.login("alice");
    assert_eq!(user.status, 200, "{user:?}");
    let user = user.json();
    assert_eq!((&user["user"]["name"], &user["user"]["subject"]), (&json!("alice"), &json!("sub-alice")));
    let session = user["session"].as_str().unwrap().to_owned();

    let token = backend.post(&token_of(&session), &json!({ "min_valid": "60s", "timeout": "5s" }));
    assert_eq!((token.status, token.header("cache-control")), (200, Some("no-store")));
    let token = token.json();
    assert!(provider.accepts(token["access_token"].as_str().unwrap()));
    assert!((1..=1000).contains(&token["expires_in"].as_u64().unwrap()), "{token}");

    let again = backend.post(&token_of(&session), &json!({})).json();
    assert_eq!(again["access_token"], token["access_token"]);
    assert_eq!(home.token(), token["access_token"].as_str().unwrap(), "the command line gets the same");

    assert_eq!(backend.get("/v1/sessions").json()["sessions"][0]["session"], *session);
    assert_eq!(backend.get(&format!("/v1/sessions/{session}")).json()["subject"], "sub-alice");

    let ended = backend.post(&format!("/v1/sessions/{session}/logout"), &json!({})).json();
    assert_eq!((&ended["session"], &ended["revoked"]), (&json!(session), &json!("done")));
    let problem = backend.post(&token_of(&session), &json!({}));
    assert!([404, 409].contains(&problem.status), "{problem:?}");
}

#[test]
fn a_token_needs_no_body_and_no_content_type() {
    let (_provider, home, _daemon) = corp(1000);
    let mut backend = Backend::connect(&home.http_socket());
    let session = backend.session("alice");
    backend.send("POST", &token_of(&session), None);
    assert_eq!(backend.receive().status, 200);
}

#[test]
fn a_refresh_is_had_by_asking_for_more_validity_in_any_notation() {
    let (provider, home, _daemon) = corp(100);
    let mut backend = Backend::connect(&home.http_socket());
    let session = backend.session("alice");
    let first = backend.post(&token_of(&session), &json!({})).json();
    home.age_token();
    provider.access_life(1000);
    let second = backend.post(&token_of(&session), &json!({ "min_valid": 99 })).json();
    assert_ne!(first["access_token"], second["access_token"]);
    for min_valid in [json!("5m"), json!("300"), json!(300), json!("500ms"), json!(null)] {
        let again = backend.post(&token_of(&session), &json!({ "min_valid": min_valid })).json();
        assert_eq!(again["access_token"], second["access_token"], "{min_valid}");
    }
    assert_eq!(provider.count("refresh_token"), 1);
}

#[test]
fn a_lost_login_says_why_since_when_and_what_to_replace() {
    let (provider, home, _daemon) = corp(100);
    let mut backend = Backend::connect(&home.http_socket());
    let session = backend.session("alice");
    home.age_token();
    provider.fault("refresh_token", Fault::Answer(400, r#"{"error":"invalid_grant"}"#.to_owned()));
    let answer = backend.post(&token_of(&session), &json!({ "min_valid": "99s" }));
    let problem = answer.problem(409, "login_required");
    assert_eq!((&problem["session"], &problem["replaces"]), (&json!(session), &json!(session)));
    assert_eq!(problem["title"], "Login required");
    assert!(problem["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{problem}");
    assert!(problem["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{problem}");

    // And with that, the session keeps its reference.
    let wish = json!({
        "provider": "corp", "redirect_uri": crate::support::wire::CALLBACK, "replaces": problem["replaces"],
    });
    let begun = backend.post("/v1/logins", &wish).json();
    let url = begun["authorize_url"].as_str().unwrap();
    let back = crate::support::browser::Browser::default().log_in_until(url, "alice", crate::support::wire::CALLBACK);
    let path = format!("/v1/logins/{}/complete", begun["login_id"].as_str().unwrap());
    let completion = json!({ "callback_query": back.split_once('?').unwrap().1 });
    let user = backend.post(&path, &completion).json();
    assert_eq!(user["session"], *session);
    assert_eq!(backend.post(&path, &completion).json(), user, "a repeated completion gives the same answer");
}

#[test]
fn a_user_who_said_no_is_a_login_that_failed() {
    let (_provider, home, _daemon) = corp(100);
    let mut backend = Backend::connect(&home.http_socket());
    let wish = json!({ "provider": "corp", "redirect_uri": crate::support::wire::CALLBACK });
    let begun = backend.post("/v1/logins", &wish).json();
    let url = begun["authorize_url"].as_str().unwrap();
    let state = http::parse(url).query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let path = format!("/v1/logins/{}/complete", begun["login_id"].as_str().unwrap());
    let answer = backend.post(&path, &json!({ "callback_query": format!("error=access_denied&state={state}") }));
    answer.problem(422, "login_failed");
}

#[test]
fn a_provider_that_is_down_says_when_to_try_again_in_the_body_and_in_the_header() {
    let (provider, home, _daemon) = corp(100);
    let mut backend = Backend::connect(&home.http_socket());
    let session = backend.session("alice");
    home.age_token();
    provider.go_down();
    let answer = backend.post(&token_of(&session), &json!({ "min_valid": "99s" }));
    let problem = answer.problem(503, "try_later");
    let milliseconds = problem["retry_after_ms"].as_u64().unwrap();
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(seconds, milliseconds.div_ceil(1000));
}

#[test]
fn more_validity_than_such_tokens_have_is_told_as_such() {
    let (_provider, home, _daemon) = corp(100);
    let mut backend = Backend::connect(&home.http_socket());
    let session = backend.session("alice");
    backend.post(&token_of(&session), &json!({ "min_valid": "1h" })).problem(422, "lifetime_too_short");
}

#[test]
fn a_peer_without_a_rule_gets_refusals_with_a_reference_and_nothing_else() {
    let provider = ScriptedProvider::start();
    let config = Config::corp(&provider.issuer);
    let home = Home::new(&config);
    let daemon = Daemon::start(&home);
    let session = Backend::connect(&home.http_socket()).session("alice");
    home.configure(&config.without_rules());
    daemon.reload();

    let mut backend = Backend::connect(&home.http_socket());
    let words = |problem: Value| {
        let text = problem["detail"].as_str().unwrap().to_owned();
        (problem["audit_reference"].as_str().unwrap().to_owned(), text)
    };
    let (reference, yours) = words(backend.post(&token_of(&session), &json!({})).problem(403, "denied"));
    let (_, nobodys) = words(backend.post(&token_of("0000aaaa"), &json!({})).problem(403, "denied"));
    assert_eq!(yours.replace(&session, "REF"), nobodys.replace("0000aaaa", "REF"), "it learns nothing of what exists");
    home.syslog.wait_for(&["denied", &reference]);

    let wish = json!({ "provider": "corp", "redirect_uri": crate::support::wire::CALLBACK });
    backend.post("/v1/logins", &wish).problem(403, "denied");
    assert_eq!(backend.get("/healthz").status, 200, "that the daemon lives is no secret");
}

#[test]
fn what_the_path_or_the_body_names_wrongly_is_a_bad_request_that_says_what_is_right() {
    let (_provider, home, _daemon) = corp(100);
    let mut backend = Backend::connect(&home.http_socket());
    let refusals: [(&str, Value, &str); 9] = [
        ("/v1/logins", json!({ "provider": "corp" }), "redirect_uri is missing"),
        ("/v1/logins", json!({ "provdier": "corp" }), "did you mean \"provider\"?"),
        ("/v1/logins", json!({ "provider": "Corp!", "redirect_uri": "x" }), "provider: "),
        ("/v1/logins", json!({ "provider": 7, "redirect_uri": "x" }), "provider must be a string"),
        ("/v1/logins", json!(["provider"]), "not one JSON object"),
        ("/v1/sessions/7k3vq2mx/token", json!({ "min_valid": "soon" }), "such as \"60s\""),
        ("/v1/sessions/7k3vq2mx/token", json!({ "min_valid": -1 }), "such as \"60s\""),
        ("/v1/sessions/nonsense!/token", json!({}), "the path names none"),
        ("/v1/sessions/7k3vq2mx/token?min_valid=60s", json!({}), "unknown key \"min_valid\"; none is allowed here"),
    ];
    for (path, body, expected) in refusals {
        let problem = backend.post(path, &body).problem(400, "bad_request");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(expected), "{path} {body}: {detail}");
    }
    let problem = backend.get("/v1/sessions?user=alice&usr=bob").problem(400, "bad_request");
    assert!(problem["detail"].as_str().unwrap().contains("did you mean \"user\"?"), "{problem}");
}

#[test]
fn wrong_paths_methods_and_types_have_their_own_status() {
    let (_provider, home, _daemon) = corp(100);
    let mut backend = Backend::connect(&home.http_socket());
    backend.get("/v2/sessions").problem(404, "not_found");
    backend.send("DELETE", "/v1/sessions/7k3vq2mx", None);
    let answer = backend.receive();
    answer.problem(405, "bad_request");
    assert_eq!(answer.header("allow"), Some("GET"));
    backend
        .send_bytes(b"POST /v1/logins HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}");
    backend.receive().problem(415, "bad_request");
}

#[test]
fn what_a_browser_was_made_to_send_is_refused() {
    let (_provider, home, _daemon) = corp(100);
    let get = |headers: &str| {
        let mut backend = Backend::connect(&home.http_socket());
        backend.send_bytes(format!("GET /v1/sessions HTTP/1.1\r\n{headers}\r\n\r\n").as_bytes());
        backend.receive()
    };
    for headers in [
        "Host: x\r\nOrigin: https://evil.example",
        "Host: x\r\nSec-Fetch-Site: same-origin",
        // A page whose name was made to lead here reads over plain http: it sends none of these headers then.
        "Host: evil.example:8080",
    ] {
        let problem = get(headers).problem(403, "denied");
        assert!(problem["detail"].as_str().unwrap().contains("browser"), "{problem}");
    }
    // Node's fetch is no browser, and says so by what it leaves out.
    assert_eq!(get("Host: localhost\r\nSec-Fetch-Mode: cors\r\nAccept-Language: *").status, 200);
    // A form can be sent to anywhere, and without these headers by old browsers: its type is none that is read.
    let mut backend = Backend::connect(&home.http_socket());
    backend.send_bytes(
        b"POST /v1/sessions/7k3vq2mx/logout HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
          Content-Length: 3\r\n\r\na=b",
    );
    backend.receive().problem(415, "bad_request");
}

#[test]
fn a_peer_that_hangs_up_during_a_refresh_cancels_nothing() {
    let (provider, home, _daemon) = corp(100);
    let session = Backend::connect(&home.http_socket()).session("alice");
    home.age_token();
    provider.access_life(1000).rotate(true).fault("refresh_token", Fault::Hold);
    let mut impatient = Backend::connect(&home.http_socket());
    impatient.send("POST", &token_of(&session), Some(&json!({ "min_valid": "99s" })));
    provider.wait_for("refresh_token", 1);
    drop(impatient);
    provider.release();

    let token = Backend::connect(&home.http_socket()).post(&token_of(&session), &json!({ "min_valid": "99s" })).json();
    assert!(provider.accepts(token["access_token"].as_str().unwrap()));
    assert_eq!(provider.count("refresh_token"), 1, "what the first one began is what the second one gets");
}

#[test]
fn a_request_that_waits_is_answered_before_the_daemon_goes() {
    let (provider, home, mut daemon) = corp(100);
    let mut backend = Backend::connect(&home.http_socket());
    let session = backend.session("alice");
    let mut idle = Backend::connect(&home.http_socket());
    let mut half = Backend::connect(&home.http_socket());
    half.send_bytes(
        b"POST /v1/logins HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
    );
    home.age_token();
    provider.access_life(1000).fault("refresh_token", Fault::Hold);
    backend.send("POST", &token_of(&session), Some(&json!({ "min_valid": "99s" })));
    provider.wait_for("refresh_token", 1);

    daemon.signal(Signal::SIGTERM);
    assert!(daemon.notify.wait_for("STOPPING=1", Deadline::patient(), || false));
    assert!(idle.try_receive().is_none(), "an idle connection ends at once");
    half.receive().problem(503, "try_later");
    provider.release();

    let token = backend.receive();
    assert_eq!((token.status, token.header("connection")), (200, Some("close")), "{token:?}");
    assert!(daemon.wait_for_exit().success());
    assert!(!home.http_socket().exists() || std::os::unix::net::UnixStream::connect(home.http_socket()).is_err());
}

#[test]
fn peers_and_rules_are_those_of_the_other_socket() {
    let provider = ScriptedProvider::start();
    let other = "user:nobody";
    let home = Home::new(&Config::corp(&provider.issuer).without_rules().rule(other, EVERYTHING, "corp", "all"));
    let _daemon = Daemon::start(&home);
    let wish = json!({ "provider": "corp", "redirect_uri": crate::support::wire::CALLBACK });
    Backend::connect(&home.http_socket()).post("/v1/logins", &wish).problem(403, "denied");
}

#[test]
fn the_socket_can_be_turned_off() {
    let home = Home::new(&Config::empty());
    let main = std::fs::read_to_string(home.config_file()).unwrap();
    std::fs::write(home.config_file(), main.replace("[daemon]\n", "[daemon]\nhttp_socket = \"off\"\n")).unwrap();
    let _daemon = Daemon::start(&home);
    assert!(home.socket().exists() && !home.http_socket().exists());
}

#[test]
fn metrics_are_had_over_loopback_where_the_configuration_says_so_and_nothing_else_is() {
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let home = Home::new(&Config::empty());
    let main = std::fs::read_to_string(home.config_file()).unwrap();
    let line = format!("[daemon]\nmetrics_listen = \"{address}\"\n");
    std::fs::write(home.config_file(), main.replace("[daemon]\n", &line)).unwrap();
    let _daemon = Daemon::start(&home);

    let url = |path| format!("http://{address}{path}");
    let metrics = http::get(&url("/metrics")).unwrap();
    assert_eq!(metrics.status, 200);
    assert!(metrics.body.contains("tokenkeeper_sessions") && metrics.body.ends_with("# EOF\n"), "{}", metrics.body);
    for path in ["/v1/status", "/v1/sessions", "/healthz", "/"] {
        assert_eq!(http::get(&url(path)).unwrap().status, 404, "{path}");
    }
    let mut rebound = std::net::TcpStream::connect(address).unwrap();
    rebound.write_all(b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").unwrap();
    let mut said = String::new();
    rebound.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 403 "), "{said}");
}
