//! The same rows as a web backend meets them: the status and the problem of each, compared with what the table says.

use serde_json::{Value, json};

use super::row::{Row, When, cause};
use super::template::{Known, fill, fits};
use crate::support::Backend;
use crate::support::backend::Answered;
use crate::support::browser::Browser;
use crate::support::wire::CALLBACK;

/// What a row asks of the daemon, and how it is answered.
pub(super) fn ask(backend: &mut Backend, row: &Row, provider: &str, session: &str, min_valid: &str) -> Answered {
    let wish = json!({ "provider": provider, "redirect_uri": CALLBACK });
    match row.when {
        When::Begin => backend.post("/v1/logins", &wish),
        When::Exchange | When::Identify => log_in(backend, &wish),
        When::Code => backend.post("/v1/device-logins", &json!({ "provider": provider })),
        When::Account => backend.post(&format!("/v1/service-accounts/{provider}/token"), &json!({})),
        When::Refresh => {
            backend.post(&format!("/v1/sessions/{session}/token"), &json!({ "min_valid": min_valid, "timeout": "20s" }))
        }
        When::Logout => backend.post(&format!("/v1/sessions/{session}/logout"), &json!({})),
        When::Here | When::AsRoot => unreachable!("these have no provider"),
    }
}

fn log_in(backend: &mut Backend, wish: &Value) -> Answered {
    let begun = backend.post("/v1/logins", wish).json();
    let url = begun["authorize_url"].as_str().unwrap_or_else(|| panic!("no login page in {begun}"));
    let back = Browser::default().log_in_until(url, "alice", CALLBACK);
    let query = back.split_once('?').map_or("", |(_, query)| query);
    let id = begun["login_id"].as_str().expect("a login has an id");
    backend.post(&format!("/v1/logins/{id}/complete"), &json!({ "callback_query": query }))
}

/// Waits for the end of a login with a code.
pub(super) fn wait(backend: &mut Backend, login: &str) -> Answered {
    backend.post(&format!("/v1/logins/{login}/wait"), &json!({ "timeout": "20s" }))
}

/// Compares an answer with the row, and learns its sentence.
pub(super) fn compare(row: &Row, known: &mut Known, answer: &Answered) -> Result<(), String> {
    let status = row.code.map_or(200, tokenkeeper_protocol::Code::http_status);
    let body = answer.json();
    let Some(code) = row.code else {
        let outcome = (row.when == When::Logout).then(|| body["revoked"].as_str().unwrap_or_default());
        let told = outcome.is_none_or(|outcome| row.sentence.contains(words_of(outcome)));
        return if answer.status == status && told { Ok(()) } else { Err(format!("over HTTP: {answer:?}")) };
    };
    let detail = body["detail"].as_str().unwrap_or_default();
    if (answer.status, &body["code"]) != (status, &json!(code.name())) || !fits(detail, &row.sentence, known) {
        let expected = fill(&row.sentence, known);
        return Err(format!(
            "over HTTP: {} with {body:#}\nbut expected is {status} {} and\n  {expected}",
            answer.status,
            code.name()
        ));
    }
    known.extend([("sentence", detail.to_owned()), ("cause", cause(detail).to_owned())]);
    Ok(())
}

/// What the command line says of this outcome of a revocation.
fn words_of(outcome: &str) -> &'static str {
    match outcome {
        "pending" => "could not be told yet",
        "unsupported" => "cannot revoke",
        _ => "unknown outcome",
    }
}
