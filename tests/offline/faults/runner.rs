//! Makes rows happen: one daemon, and for each row a provider of its own, so that none can spoil another.

use std::process::Stdio;
use std::time::Duration;

use tokenkeeper_protocol::Code;

use super::over_http;
use super::row::{How, Kept, Row, When, cause};
use super::template::{Known, fill, fits};
use crate::support::browser::Browser;
use crate::support::canary::assert_none_leaked;
use crate::support::config::{CLIENT_SECRET, EVERYTHING, me};
use crate::support::deadline::Deadline;
use crate::support::login::PendingLogin;
use crate::support::{Backend, CliResult, Config, Daemon, Home, ScriptedProvider, TlsServer};

const DISCOVERY: &str = "/.well-known/openid-configuration";
/// How long the tokens live that the rows begin with; after them come longer ones.
const LIFE: u64 = 1000;
/// How long codes are good, where that does not matter.
const CODE_LIFE: u64 = 600;
/// An audit record cuts longer values.
const COMPARED_BYTES: usize = 300;

/// How the daemon is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    CommandLine,
    Http,
}

/// Runs `rows` and fails with everything that is not as they say.
pub(super) fn run_all(rows: &[&Row], way: Way) {
    let wrong: Vec<String> = match (rows[0].when, way) {
        (When::Here | When::AsRoot, Way::CommandLine) => {
            rows.iter().filter_map(|row| happens_here(row).err().map(|why| format!("{}: {why}", row.what))).collect()
        }
        // Each of these asks both ways at once.
        (When::Here | When::AsRoot, Way::Http) => Vec::new(),
        _ => Scene::set(rows, way).play(),
    };
    assert!(wrong.is_empty(), "{way:?}: of {} rows these are not so:\n\n{}\n", rows.len(), wrong.join("\n\n"));
}

/// A daemon, and the providers that its rows are about.
struct Scene<'a> {
    home: Home,
    daemon: Daemon,
    way: Way,
    parts: Vec<Part<'a>>,
}

/// One row on the scene.
struct Part<'a> {
    row: &'a Row,
    /// The name of its provider.
    name: String,
    provider: Option<ScriptedProvider>,
    known: Known,
    /// How many audit records there were before it happened.
    mark: usize,
}

impl<'a> Scene<'a> {
    fn set(rows: &[&'a Row], way: Way) -> Self {
        let home = Home::new(&Config::empty());
        let mut config = Config::empty().rule(&me(), EVERYTHING, "*", "own");
        let mut parts = Vec::new();
        for (number, row) in rows.iter().copied().enumerate() {
            let name = format!("corp{number}");
            let mut provider = None;
            let issuer = match &row.how {
                How::Issuer(issuer) => (*issuer).to_owned(),
                How::Tls(tls) => {
                    let server = TlsServer::start(*tls);
                    std::fs::write(home.path(&format!("config/{name}.pem")), &server.authority).unwrap();
                    server.issuer
                }
                _ => provider.insert(ScriptedProvider::start()).issuer.clone(),
            };
            config = config.provider(&name, &issuer);
            if matches!(row.how, How::Tls(_)) {
                let authority = home.path(&format!("config/{name}.pem"));
                config = config.with(&format!("ca_file = {:?}", authority.display().to_string()));
            }
            config = row.config.iter().fold(config, |config, line| config.with(line));
            if let (When::Code, Some(provider)) = (row.when, &provider) {
                provider.with_codes(CODE_LIFE);
            }
            if let (When::Account, Some(provider)) = (row.when, &provider) {
                // It is asked as soon as the daemon is there, and again and again.
                if let How::Does(fault) = &row.how {
                    (0..100).for_each(|_| _ = provider.fault("client_credentials", fault.clone()));
                }
                let account = format!("[service_account.{name}]\nprovider = {name:?}\n");
                config = config.more(&format!(
                    "{account}[[allow]]\nwho = {:?}\nmay = [\"token\", \"list\"]\naccount = {name:?}\n",
                    me()
                ));
            }
            let host = issuer.split_once("://").map_or("", |(_, host)| host).to_owned();
            let known = vec![("provider", name.clone()), ("issuer", issuer), ("host", host)];
            parts.push(Part { row, name, provider, known, mark: 0 });
        }
        home.configure(&config);
        let daemon = Daemon::start(&home);
        Self { home, daemon, way, parts }
    }

    fn play(mut self) -> Vec<String> {
        for part in &mut self.parts {
            if let How::Discovers(fault) = &part.row.how {
                part.scripted().fault(DISCOVERY, fault.clone());
            }
            if matches!(part.row.when, When::Refresh | When::Logout) {
                part.scripted().access_life(LIFE);
                let (result, _) = part.log_in(&self.home);
                assert_eq!(result.status, 0, "{}: {result:?}", part.row.what);
                part.find_session(&self.home);
            }
        }
        if self.parts.iter().any(|part| part.row.when == When::Refresh) {
            self.home.age_token();
        }
        let wrong = self.parts.iter_mut().filter_map(|part| {
            let why = part.happens(&self.home, self.way).err()?;
            Some(format!("{} ({:?}): {why}", part.row.what, part.row.when))
        });
        let mut wrong: Vec<String> = wrong.collect();
        // The last records leave the store before the daemon does.
        self.daemon.stop();
        self.home.syslog.wait_for(&["event=\"daemon_stopped\""]);
        wrong.extend(self.parts.iter().filter_map(|part| {
            let record = part.unexpected_record(&self.home)?;
            Some(format!(
                "{} ({:?}): nothing of this is expected in the audit trail: {record}",
                part.row.what, part.row.when
            ))
        }));
        let mut secrets = vec![CLIENT_SECRET.to_owned()];
        secrets.extend(self.parts.iter().filter_map(|part| part.provider.as_ref()).flat_map(ScriptedProvider::secrets));
        assert_none_leaked(&self.home, &secrets);
        wrong
    }
}

impl Part<'_> {
    fn scripted(&self) -> &ScriptedProvider {
        self.provider.as_ref().expect("a row that is about a scripted provider has one")
    }

    fn happens(&mut self, home: &Home, way: Way) -> Result<(), String> {
        self.bring_about();
        if self.row.when == When::Account {
            self.find_session(home);
        } else {
            self.mark = home.syslog.mark();
        }
        let shown = match way {
            Way::CommandLine => self.ask_by_command_line(home)?,
            Way::Http => self.ask_over_http(home)?,
        };
        let secrets = self.provider.as_ref().map(ScriptedProvider::secrets).unwrap_or_default();
        if secrets.iter().any(|secret| shown.contains(secret)) || shown.contains(CLIENT_SECRET) {
            return Err(format!("a secret is shown: {shown}"));
        }
        audited(self.row, &self.known, home, self.mark)?;
        self.kept(home)
    }

    /// Returns everything that is shown to people.
    fn ask_by_command_line(&mut self, home: &Home) -> Result<String, String> {
        let (result, page) = match self.row.when {
            When::Begin => (home.cli(["login", &self.name, "--paste"]), String::new()),
            When::Exchange | When::Identify => self.log_in(home),
            When::Code => (self.log_in_with_code(home), String::new()),
            When::Account => (home.cli(["token", "--account", &self.name]), String::new()),
            When::Refresh => (home.cli(["token", &self.name, "--min-valid", &self.min_valid()]), String::new()),
            When::Logout => (home.cli(["logout", self.value("session")]), String::new()),
            When::Here | When::AsRoot => return Err("has no provider".to_owned()),
        };
        if result.status == 0 && matches!(self.row.when, When::Exchange | When::Identify | When::Code) {
            self.find_session(home);
        }
        compare(self.row, &mut self.known, result.status, &said(&result))?;
        let is_token = matches!(self.row.when, When::Refresh | When::Account) && result.status == 0;
        Ok(if is_token { result.stderr } else { format!("{}{}{page}", result.stdout, result.stderr) })
    }

    fn ask_over_http(&mut self, home: &Home) -> Result<String, String> {
        let mut backend = Backend::connect(&home.http_socket());
        let min_valid = self.min_valid();
        let mut answer = over_http::ask(&mut backend, self.row, &self.name, self.value("session"), &min_valid);
        if self.row.when == When::Code && answer.status == 200 {
            let begun = answer.json();
            self.type_code();
            answer = over_http::wait(&mut backend, begun["login_id"].as_str().unwrap_or_default());
        }
        if answer.status == 200 && matches!(self.row.when, When::Exchange | When::Identify | When::Code) {
            self.find_session(home);
        }
        over_http::compare(self.row, &mut self.known, &answer)?;
        let is_token = matches!(self.row.when, When::Refresh | When::Account) && answer.status == 200;
        Ok(if is_token { String::new() } else { answer.body })
    }

    /// More than the token in hand has to give.
    fn min_valid(&self) -> String {
        if self.row.when == When::Refresh {
            self.scripted().access_life(2 * LIFE);
        }
        format!("{}s", LIFE - 1)
    }

    /// `tokenkeeper login --code`, whose code is typed as soon as it is there.
    fn log_in_with_code(&self, home: &Home) -> CliResult {
        let mut command = home.cli_command();
        command
            .args(["login", &self.name, "--code"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("tokenkeeper can be run");
        let deadline = Deadline::patient();
        let mut waits = || matches!(child.try_wait(), Ok(None)) && deadline.left().is_some();
        while self.scripted().count("/device") == 0 && waits() {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        self.type_code();
        child.wait_with_output().expect("a child can be waited for").into()
    }

    fn type_code(&self) {
        self.scripted().type_codes("alice");
    }

    /// An audit record about this provider that the row does not speak of.
    fn unexpected_record(&self, home: &Home) -> Option<String> {
        let usual: &[&str] = match self.row.when {
            When::Exchange | When::Identify | When::Code if self.row.exit == 0 => {
                &["login_begun", "login_completed", "token_handed_out"]
            }
            When::Exchange | When::Identify | When::Code => &["login_begun"],
            When::Refresh if self.row.exit == 0 => &["refresh_done", "token_handed_out"],
            When::Account => &["account_opened"],
            When::Logout => &["logged_out"],
            // It is tried again by itself, and no second try fails.
            When::Refresh if self.row.code != Some(Code::LoginRequired) => &["refresh_done"],
            When::Begin | When::Refresh | When::Here | When::AsRoot => &[],
        };
        let expected = |event: &str| {
            usual.contains(&event) || self.row.audit.as_ref().is_some_and(|(audited, _)| *audited == event)
        };
        let about = [format!("provider=\"{}\"", self.name), format!("session=\"{}\"", self.value("session"))];
        let records = home.syslog.records().into_iter().skip(self.mark);
        let mut about = records.filter(|record| about.iter().any(|about| record.contains(about)));
        about.find(|record| {
            let event =
                record.split_once(" event=\"").and_then(|(_, rest)| rest.split_once('"')).map(|(event, _)| event);
            !event.is_some_and(expected)
        })
    }

    fn bring_about(&self) {
        let on = match self.row.when {
            When::Begin => DISCOVERY,
            When::Exchange => "authorization_code",
            When::Code => "urn:ietf:params:oauth:grant-type:device_code",
            When::Refresh => "refresh_token",
            When::Logout => "/revoke",
            When::Account | When::Identify | When::Here | When::AsRoot => "",
        };
        match &self.row.how {
            How::Does(_) if self.row.when == When::Account => {}
            How::Does(fault) => _ = self.scripted().fault(on, fault.clone()),
            // Keys that do not fit are asked for once more.
            How::At(path, fault) => (0..2).for_each(|_| _ = self.scripted().fault(path, fault.clone())),
            How::Lies(lie) => _ = self.scripted().lie(*lie),
            How::Down => self.scripted().go_down(),
            How::Discovers(_) | How::Tls(_) | How::Issuer(_) | How::Here(_) => {}
        }
    }

    /// The whole login of alice: what the command says, and the last page that she sees.
    fn log_in(&self, home: &Home) -> (CliResult, String) {
        let mut command = home.cli_command();
        command.args(["login", &self.name, "--no-browser", "--timeout", "0s"]);
        let pending = PendingLogin::start(command);
        let page = Browser::default().log_in(&pending.url, "alice");
        (pending.finish(), page.body)
    }

    fn find_session(&mut self, home: &Home) {
        let sessions = home.sessions();
        let session = sessions.iter().find(|session| session["provider"] == *self.name);
        let session = session.and_then(|session| session["session"].as_str()).expect("the login opened a session");
        self.known.push(("session", session.to_owned()));
    }

    fn value(&self, name: &str) -> &str {
        self.known.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    fn kept(&self, home: &Home) -> Result<(), String> {
        let (token, session) = match self.row.kept {
            None => return Ok(()),
            Some(_) => (
                home.cli(["--json", "token", &self.name]).json(),
                home.cli(["--json", "session", self.value("session")]).json(),
            ),
        };
        let (found, expected) = match self.row.kept {
            None => return Ok(()),
            Some(Kept::Life(seconds)) => {
                let at =
                    |key: &str| session[key].as_str().and_then(|at| at.parse::<chrono::DateTime<chrono::Utc>>().ok());
                let life =
                    at("token_expires_at").zip(at("token_obtained_at")).map(|(end, start)| (end - start).num_seconds());
                (serde_json::json!(life), serde_json::json!(seconds))
            }
            Some(Kept::Scope(scope)) => (session["scope"].clone(), scope.into()),
            Some(Kept::TokenType(token_type)) => (token["token_type"].clone(), token_type.into()),
        };
        if found == expected { Ok(()) } else { Err(format!("{found} and not {expected} in {session}")) }
    }
}

fn happens_here(row: &Row) -> Result<(), String> {
    let How::Here(happens) = row.how else { return Err("happens nowhere".to_owned()) };
    let seen = happens();
    let mut known = seen.known;
    known.push(("provider", "corp".to_owned()));
    known.push(("home", seen.home.path("").display().to_string().trim_end_matches('/').to_owned()));
    if seen.said.contains(CLIENT_SECRET) || seen.home.stderr().contains(CLIENT_SECRET) {
        return Err(format!("a secret is shown: {}", seen.said));
    }
    compare(row, &mut known, seen.exit, &seen.said)?;
    if let Some(answer) = &seen.over_http {
        over_http::compare(row, &mut known, answer)?;
    }
    audited(row, &known, &seen.home, 0)
}

/// The last thing that a program said of itself: on stderr if it failed, else on stdout.
pub(super) fn said(result: &CliResult) -> String {
    if result.status == 0 {
        return result.stdout.trim_end().to_owned();
    }
    let text = result.stderr.trim_end();
    for name in ["tokenkeeper: ", "tokenkeeperd: "] {
        if let Some(at) = text.rfind(name) {
            return text[at + name.len()..].to_owned();
        }
    }
    text.lines().last().unwrap_or_default().to_owned()
}

/// Compares how a program ended, and learns its sentence.
fn compare(row: &Row, known: &mut Known, exit: i32, said: &str) -> Result<(), String> {
    let advice = if row.advice.is_empty() { String::new() } else { format!("\n{}", row.advice) };
    let template = format!("{}{}{advice}", row.label, row.sentence);
    if exit != row.exit || !fits(said, &template, known) {
        let expected = fill(&template, known);
        return Err(format!(
            "exit status {exit}, and it says\n  {said}\nbut expected is {} and\n  {expected}",
            row.exit
        ));
    }
    if row.code.map(Code::exit_status).is_some_and(|status| i32::from(status) != exit) {
        return Err(format!("{:?} does not end with exit status {exit}", row.code));
    }
    let sentence = said.strip_prefix(row.label).unwrap_or(said);
    let sentence = sentence.strip_suffix(&fill(&advice, known)).unwrap_or(sentence);
    known.extend([("sentence", sentence.to_owned()), ("cause", cause(sentence).to_owned())]);
    Ok(())
}

/// Waits for the record of a row.
fn audited(row: &Row, known: &Known, home: &Home, mark: usize) -> Result<(), String> {
    let Some((event, fields)) = &row.audit else { return Ok(()) };
    let mut parts = vec![format!("event=\"{event}\"")];
    for (field, template) in fields {
        let value = fill(template, known).replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]");
        // What ends in three dots goes on in a way that is not ours to say.
        let cut = value.char_indices().map(|(at, _)| at).find(|at| *at >= COMPARED_BYTES);
        let begins = value.strip_suffix('…').or(cut.map(|cut| &value[..cut]));
        parts.push(begins.map_or_else(|| format!("{field}=\"{value}\""), |begins| format!("{field}=\"{begins}")));
    }
    let wanted: Vec<_> = parts.iter().map(String::as_str).collect();
    let deadline = Deadline::patient();
    while home.syslog.matching(&wanted).is_empty() {
        if deadline.left().is_none() {
            let since: Vec<_> = home.syslog.records().into_iter().skip(mark).collect();
            return Err(format!("no audit record has {wanted:#?}, but there are {since:#?}"));
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok(())
}
