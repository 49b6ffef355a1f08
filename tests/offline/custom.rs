//! A provider that follows no standard: odd names, nested answers, milliseconds, errors in HTTP 200, pages, and no `state`.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokenkeeper_protocol::reply::Revocation;
use tokenkeeper_protocol::{Code, Reply, Request};

use crate::support::config::{EVERYTHING, me};
use crate::support::http::{self, Received};
use crate::support::wire::{CALLBACK, Wire, access_token, complete};
use crate::support::{Config, Daemon, Home};

const CODE: &str = "odd-code-8c1f0a";
const REFRESH: &str = "odd-refresh-51d7aa";

/// Content type, status and body of an answer.
type Answer = (&'static str, u16, String);

#[derive(Default)]
struct Script {
    answers: HashMap<String, Answer>,
    requests: Vec<Received>,
}

/// The provider. Its thread ends with the test.
struct Odd {
    url: String,
    script: Arc<Mutex<Script>>,
}

impl Odd {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script::default()));
        let odd = Self { url, script: Arc::clone(&script) };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Ok(Some(request)) = http::receive(&stream) else { continue };
                let mut script = script.lock().unwrap();
                let answer = script.answers.get(&request.path).cloned();
                script.requests.push(request);
                let (content_type, status, body) = answer.unwrap_or(("text/plain", 404, String::new()));
                let _ = http::reply(&stream, status, &[("Content-Type".to_owned(), content_type.to_owned())], &body);
            }
        });
        odd.json("/GetTokenFromCode", 200, &granted("odd-access-1"));
        odd.json("/refresh", 200, &json!({ "Data": { "AccessToken": "odd-access-2", "Life": 3_600_000 } }));
        odd.json("/GlobalSignOut", 200, &json!({ "Code": 0 }));
        odd
    }

    fn json(&self, path: &str, status: u16, body: &Value) {
        self.answer(path, ("application/json", status, body.to_string()));
    }

    fn answer(&self, path: &str, answer: Answer) {
        self.script.lock().unwrap().answers.insert(path.to_owned(), answer);
    }

    fn requests(&self, path: &str) -> Vec<Received> {
        self.script.lock().unwrap().requests.iter().filter(|request| request.path == path).cloned().collect()
    }

    fn config(&self) -> Config {
        let url = &self.url;
        let provider = format!(
            r#"
[provider.corp]
kind = "custom"
profile = "cripsa"
client_id = "shop"
client_secret = {{ file = "SECRET" }}
redirect_uris = ["{CALLBACK}"]
code_link = "{url}/start?app={{client_id}}"
callback = {{ code = "CODE", state = "" }}

[provider.corp.exchange]
url = "{url}/GetTokenFromCode"
body = "json"
send = {{ App = {{ Id = "{{client_id}}", Secret = "{{client_secret}}" }}, Code = "{{code}}" }}
answer = {{ access_token = "/Data/AccessToken", refresh_token = "/Data/RefreshToken", expires_in_milliseconds = "/Data/Life", subject = "/Data/User/Id", name = "/Data/User/Name", error = "/Code" }}

[provider.corp.renew]
url = "{url}/refresh"
method = "GET"
headers = {{ X-Refresh = "{{refresh_token}}" }}
answer = {{ access_token = "/Data/AccessToken", expires_in_milliseconds = "/Data/Life", error = "/Code", error_description = "/Message", correlation_id = "/Trace" }}
refused = ["TOKEN_DEAD"]

[provider.corp.sign_out]
url = "{url}/GlobalSignOut"
method = "DELETE"
headers = {{ Authorization = "Bearer {{access_token}}" }}
answer = {{ error = "/Code" }}
"#
        );
        Config::empty().rule(&me(), EVERYTHING, "corp", "own").more(&provider)
    }

    /// A home with this provider, and its daemon.
    fn home(&self) -> (Home, Daemon) {
        let config = self.config();
        let home = Home::new(&config);
        let secret = home.path("config/secret").display().to_string();
        let mut config = config;
        config.more = config.more.replace("SECRET", &secret);
        home.configure(&config);
        let daemon = Daemon::start(&home);
        (home, daemon)
    }
}

fn granted(access: &str) -> Value {
    json!({ "Code": "OK", "Data": {
        "AccessToken": access, "RefreshToken": REFRESH, "Life": 100_000, "User": { "Id": 7001, "Name": "alice" },
    }})
}

fn log_in(home: &Home) -> String {
    let mut wire = Wire::connect(&home.socket());
    let (id, _) = wire.begin();
    match wire.ask(&complete(id, &format!("{CALLBACK}?CODE={CODE}"))) {
        Reply::LoggedIn(logged_in) => logged_in.session.to_string(),
        other => panic!("no login: {other:?}"),
    }
}

#[test]
fn a_session_at_a_provider_without_standards_goes_from_code_to_sign_out() {
    let odd = Odd::start();
    let (home, _daemon) = odd.home();
    let mut wire = Wire::connect(&home.socket());
    assert_eq!(wire.begin().1, format!("{}/start?app=shop", odd.url));

    let session = log_in(&home);
    assert_eq!(access_token(home.token_reply(None)), "odd-access-1");
    assert_eq!(home.sessions()[0]["user"], "alice");
    let sent = &odd.requests("/GetTokenFromCode")[0];
    let secret = crate::support::config::CLIENT_SECRET;
    let body: Value = serde_json::from_str(&sent.body).unwrap();
    assert_eq!(body, json!({ "App": { "Id": "shop", "Secret": secret }, "Code": CODE }));
    assert_eq!(sent.header("authorization"), None);

    home.age_token();
    assert_eq!(access_token(home.token_reply(Some(99))), "odd-access-2");
    let sent = &odd.requests("/refresh")[0];
    assert_eq!((sent.method.as_str(), sent.header("x-refresh")), ("GET", Some(REFRESH)));

    let said = home.cli(["--json", "logout", &session]).json();
    assert_eq!(said["sessions"][0]["revoked"], "done");
    let sent = &odd.requests("/GlobalSignOut")[0];
    assert_eq!((sent.method.as_str(), sent.header("authorization")), ("DELETE", Some("Bearer odd-access-2")));
}

#[test]
fn only_the_errors_that_the_configuration_names_end_a_session() {
    let odd = Odd::start();
    let (home, _daemon) = odd.home();
    log_in(&home);
    home.age_token();
    let said = |message: &str, code| json!({ "Code": code, "Message": message, "Trace": "t-4711" });
    odd.json("/refresh", 200, &said("who knows", "E9"));
    let Reply::Problem(problem) = home.token_reply(Some(99)) else { panic!("a token") };
    assert_eq!(problem.code, Code::Misconfigured, "{}", problem.message);
    assert!(
        problem.message.contains("E9 (who knows; the provider's log has it under correlation_id t-4711)"),
        "{}",
        problem.message
    );
    assert_eq!(access_token(home.token_reply(None)), "odd-access-1", "what is alive is served");
}

#[test]
fn a_dead_refresh_token_asks_for_a_new_login_and_is_not_repeated_in_words() {
    let odd = Odd::start();
    let (home, _daemon) = odd.home();
    log_in(&home);
    home.age_token();
    let message = format!("{REFRESH} was revoked");
    odd.json("/refresh", 200, &json!({ "Code": "TOKEN_DEAD", "Message": message, "Trace": "t-4711" }));
    let Reply::Problem(problem) = home.token_reply(Some(99)) else { panic!("a token") };
    assert_eq!(problem.code, Code::LoginRequired);
    assert!(
        problem
            .message
            .contains("TOKEN_DEAD ([redacted] was revoked); the provider's log has it under correlation_id t-4711"),
        "{}",
        problem.message
    );
    let everything = home.stderr() + &home.syslog.wait_for(&["refresh_failed"]);
    assert!(!everything.contains(REFRESH));
}

#[test]
fn a_page_instead_of_an_answer_is_told_as_one_and_ends_no_session() {
    for (content_type, status, body) in
        [("text/html", 200, "<html>maintenance</html>"), ("application/xml", 500, "<Error>busy</Error>")]
    {
        let odd = Odd::start();
        let (home, _daemon) = odd.home();
        log_in(&home);
        home.age_token();
        odd.answer("/refresh", (content_type, status, body.to_owned()));
        let Reply::Problem(problem) = home.token_reply(Some(99)) else { panic!("a token") };
        assert_eq!(problem.code, Code::TryLater, "{}", problem.message);
        let expected = if status == 200 { content_type } else { "HTTP 500" };
        assert!(problem.message.contains(expected), "{}", problem.message);
        assert_eq!(access_token(home.token_reply(None)), "odd-access-1");
    }
}

#[test]
fn a_sign_out_that_ends_all_sessions_of_a_user_is_honest_about_the_others() {
    let odd = Odd::start();
    let (home, _daemon) = odd.home();
    let first = log_in(&home);
    odd.json("/GetTokenFromCode", 200, &granted("odd-access-other"));
    let second = log_in(&home);

    let mut wire = Wire::connect(&home.socket());
    let Reply::LoggedOut(ended) = wire.ask(&Request::Logout(first.parse().unwrap())) else { panic!("no logout") };
    assert_eq!(ended.revoked, Revocation::Done);
    let why = home.cli(["token", "--session", &second]).fails_with(3);
    assert!(why.contains("logged out elsewhere, which ends all sessions at this provider"), "{why}");
    assert_eq!(odd.requests("/GlobalSignOut").len(), 1);
}

#[test]
fn what_the_profile_cannot_know_is_asked_for_in_one_sentence() {
    let home = Home::new(
        &Config::empty().more("[provider.corp]\nkind = \"custom\"\nprofile = \"cripsa\"\nclient_id = \"x\"\n"),
    );
    let output = Daemon::run(home.daemon_command());
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("corp.toml:1:1: profile \"cripsa\" cannot know these"), "{said}");
    assert!(said.contains("exchange.url") && said.contains("registration at Cripsa"), "{said}");
}
