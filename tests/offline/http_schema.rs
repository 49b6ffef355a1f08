//! Every answer of the HTTP socket is one that `docs/openapi.json` describes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::backend::Answered;
use crate::support::config::me;
use crate::support::wire::CALLBACK;
use crate::support::{Backend, Config, Daemon, Home, ScriptedProvider};

/// Every route, with what makes sense of it in the place of its braces.
struct Call {
    method: &'static str,
    route: &'static str,
    path: String,
    body: Option<Value>,
}

fn calls(session: &str, login: &str) -> Vec<Call> {
    let get = |route: &'static str| (("GET", route), None);
    let post = |route: &'static str, body: Value| (("POST", route), Some(body));
    let all = [
        post("/v1/logins", json!({ "provider": "corp", "redirect_uri": CALLBACK })),
        post("/v1/logins/{login_id}/complete", json!({ "callback_query": "code=x&state=y" })),
        post("/v1/device-logins", json!({ "provider": "corp" })),
        post("/v1/logins/{login_id}/wait", json!({ "timeout": "1ms" })),
        get("/v1/sessions"),
        get("/v1/sessions/{session}"),
        get("/v1/sessions/{session}/history"),
        post("/v1/sessions/{session}/token", json!({ "min_valid": "10s" })),
        post("/v1/service-accounts/{name}/token", json!({})),
        get("/v1/providers"),
        get("/v1/status"),
        get("/v1/whoami"),
        get("/metrics"),
        get("/healthz"),
        get("/readyz"),
        get("/openapi.json"),
        post("/v1/sessions/{session}/logout", json!({})),
    ];
    let filled = |((method, route), body): ((&'static str, &'static str), _)| {
        let path = route.replace("{session}", session).replace("{login_id}", login).replace("{name}", "nightly");
        Call { method, route, path, body }
    };
    all.into_iter().map(filled).collect()
}

fn document() -> Value {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_documented_route_is_tried_here() {
    let document = document();
    let documented: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let tried = calls("", "").into_iter().map(|call| (call.method.to_owned(), call.route.to_owned()));
    assert_eq!(documented, tried.collect::<BTreeSet<_>>());
}

#[test]
fn answers_and_problems_are_as_documented() {
    let provider = ScriptedProvider::start();
    provider.with_codes(600);
    let account = format!(
        "[service_account.nightly]\nprovider = \"corp\"\n\n[[allow]]\nwho = {:?}\nmay = [\"token\"]\naccount = \"nightly\"\n",
        me()
    );
    let config = Config::corp(&provider.issuer).rule(&me(), &["history"], "corp", "own").more(&account);
    let home = Home::new(&config);
    let daemon = Daemon::start(&home);
    let mut backend = Backend::connect(&home.http_socket());
    let document = document();

    let user = backend.login("alice");
    assert_documented(&document, "POST", "/v1/logins/{login_id}/complete", &user);
    let session = user.json()["session"].as_str().unwrap().to_owned();
    let wish = json!({ "provider": "corp", "redirect_uri": CALLBACK });
    let begun = backend.post("/v1/logins", &wish).json();
    let login = begun["login_id"].as_str().unwrap();
    let waited = wait_for_a_code(&provider, &mut backend);
    assert_documented(&document, "POST", "/v1/logins/{login_id}/wait", &waited);
    assert_eq!(waited.status, 200, "{waited:?}");

    let mut well = BTreeSet::new();
    for call in calls(&session, login) {
        backend.send(call.method, &call.path, call.body.as_ref());
        let answer = backend.receive();
        assert_documented(&document, call.method, call.route, &answer);
        if answer.status == 200 {
            well.insert(call.route);
        }
    }
    let usual = [
        "/v1/logins",
        "/v1/sessions",
        "/v1/sessions/{session}",
        "/v1/sessions/{session}/history",
        "/v1/sessions/{session}/token",
        "/v1/sessions/{session}/logout",
        "/v1/device-logins",
        "/v1/service-accounts/{name}/token",
        "/v1/providers",
        "/v1/status",
        "/v1/whoami",
        "/metrics",
        "/healthz",
        "/readyz",
        "/openapi.json",
    ];
    let missing: Vec<_> = usual.iter().filter(|route| !well.contains(*route)).collect();
    assert!(missing.is_empty(), "no example of success: {missing:?}");

    // The session is over and the rules are gone: everything that can be refused is.
    home.configure(&Config { more: String::new(), ..config.without_rules() });
    daemon.reload();
    for call in calls(&session, login) {
        backend.send(call.method, &call.path, call.body.as_ref());
        assert_documented(&document, call.method, call.route, &backend.receive());
    }
}

/// A login with a code that alice types on her phone.
fn wait_for_a_code(provider: &ScriptedProvider, backend: &mut Backend) -> Answered {
    let begun = backend.post("/v1/device-logins", &json!({ "provider": "corp" })).json();
    provider.type_codes("alice");
    let id = begun["login_id"].as_str().unwrap_or_else(|| panic!("no login with a code: {begun}"));
    backend.post(&format!("/v1/logins/{id}/wait"), &json!({ "timeout": "20s" }))
}

#[test]
fn the_document_is_served() {
    let home = Home::new(&Config::empty());
    let _daemon = Daemon::start(&home);
    assert_eq!(Backend::connect(&home.http_socket()).get("/openapi.json").json(), document());
}

/// Whether an answer is what the document says of its route.
#[track_caller]
fn assert_documented(document: &Value, method: &str, route: &str, answer: &Answered) {
    let responses = &document["paths"][route][method.to_lowercase()]["responses"];
    let told = responses.get(answer.status.to_string()).unwrap_or(&responses["default"]);
    let content = resolve(document, told)["content"].as_object().unwrap();
    let media_type = answer.header("content-type").unwrap().split(';').next().unwrap();
    let media = content.get(media_type).unwrap_or_else(|| panic!("{method} {route}: {media_type} is not documented"));
    let value = if media_type.ends_with("json") { answer.json() } else { Value::from(answer.body.clone()) };
    if let Err(why) = check(document, &media["schema"], &value) {
        panic!("{method} {route} answered {}, which is not as documented: {why}\n{value:#}", answer.status);
    }
}

/// The part of JSON Schema that the document uses; an object that lists its properties has these and no others.
fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let schema = resolve(document, schema);
    let types: Vec<_> = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        other => return Err(format!("the schema has no type, but {other}")),
    };
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types.contains(&found) {
        return Err(format!("{value} is none of {types:?}"));
    }
    if schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) {
        return Err(format!("{value} is none of {}", schema["enum"]));
    }
    if let (Some("date-time"), Some(text)) = (schema["format"].as_str(), value.as_str())
        && chrono::DateTime::parse_from_rfc3339(text).is_err()
    {
        return Err(format!("{text:?} is no time"));
    }
    if let (Some(items), true) = (schema.get("items"), value.is_array()) {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            check(document, items, item).map_err(|why| format!("[{index}]: {why}"))?;
        }
    }
    let (Some(properties), Some(members)) = (schema["properties"].as_object(), value.as_object()) else {
        return Ok(());
    };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            return Err(format!("{name} is missing"));
        }
    }
    for (name, member) in members {
        let property = properties.get(name).ok_or_else(|| format!("{name} is not documented"))?;
        check(document, property, member).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

/// What a `$ref` leads to.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let Some(reference) = schema["$ref"].as_str() else { return schema };
    document.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference} leads nowhere"))
}
