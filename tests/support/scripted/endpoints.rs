//! What the scripted provider answers.

use std::io;
use std::net::TcpStream;

use data_encoding::BASE64URL_NOPAD;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::super::config::CLIENT_SECRET;
use super::super::deadline::{Deadline, unix_seconds};
use super::super::http::{self, Received};
use super::keys;
use super::oracle::{Rotation, Worth};
use super::state::{DeviceUser, Fault, Grant, Lie, Shared, State};

/// RFC 8628 section 3.4.
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Response {
    fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::text(status, "application/json", value.to_string())
    }

    fn text(status: u16, content_type: &str, body: String) -> Self {
        let headers = vec![
            ("Content-Type".to_owned(), content_type.to_owned()),
            ("Cache-Control".to_owned(), "no-store".to_owned()),
        ];
        Self { status, headers, body }
    }

    /// RFC 6749 section 5.2.
    fn error(error: &str, description: &str) -> Self {
        Self::json(400, &json!({ "error": error, "error_description": description }))
    }
}

/// Answers one request, or does what a fault says instead.
pub(super) fn answer(stream: &TcpStream, request: &Received, shared: &Shared) -> io::Result<()> {
    let on = match request.path.as_str() {
        "/token" => request.parameter("grant_type").unwrap_or_default(),
        path => path.to_owned(),
    };
    let mut state = shared.state.lock().unwrap();
    state.requests.push((on.clone(), request.clone()));
    state.secrets.extend(["code_verifier"].iter().filter_map(|name| request.parameter(name)));
    let fault = state.faults.get_mut(&on).and_then(std::collections::VecDeque::pop_front);
    shared.changed.notify_all();
    let presented = request.parameter("refresh_token").filter(|_| on == "refresh_token");
    let _flight = presented.map(|token| Flight { sent: state.oracle.sent(&token), shared });
    let response = match &fault {
        Some(Fault::DropBefore) => {
            drop(state);
            return Ok(());
        }
        Some(Fault::Answer(status, body)) => {
            let content_type = if body.starts_with('{') { "application/json" } else { "text/html" };
            Response::text(*status, content_type, body.clone())
        }
        Some(Fault::RetryAfter(status, seconds)) => {
            let mut response = Response::text(*status, "text/html", String::new());
            response.headers.push(("Retry-After".to_owned(), seconds.to_string()));
            response
        }
        Some(Fault::RetryAt(status, seconds)) => {
            let at = chrono::DateTime::from_timestamp(unix_seconds() + i64::from(*seconds), 0).unwrap_or_default();
            let mut response = Response::text(*status, "text/html", String::new());
            response.headers.push(("Retry-After".to_owned(), at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()));
            response
        }
        Some(Fault::Reply(status, headers, body)) => {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Response { status: *status, headers, body: (*body).to_owned() }
        }
        Some(Fault::Quote(status, error)) => {
            let sent = ["code", "refresh_token", "token"].iter().find_map(|name| request.parameter(name));
            let description = format!("I do not like {}", sent.unwrap_or_default());
            Response::json(*status, &json!({ "error": error, "error_description": description }))
        }
        Some(fault @ (Fault::CutShort | Fault::Endless | Fault::Bomb)) => {
            drop(state);
            return match fault {
                Fault::CutShort => http::cut_short(stream),
                Fault::Endless => http::go_on(stream),
                _ => http::bomb(stream),
            };
        }
        Some(Fault::Alter(change)) => {
            let mut response = route(request, &on, &mut state);
            let mut answer = serde_json::from_str(&response.body).expect("what is altered is JSON");
            change(&mut answer);
            response.body = answer.to_string();
            response
        }
        Some(Fault::Hold) => {
            let deadline = Deadline::after(std::time::Duration::from_mins(2));
            while !state.released
                && let Some(left) = deadline.left()
            {
                state = shared.changed.wait_timeout(state, left).unwrap().0;
            }
            route(request, &on, &mut state)
        }
        Some(Fault::DropAfter | Fault::Drip(_) | Fault::Late(_)) | None => route(request, &on, &mut state),
    };
    drop(state);
    match fault {
        Some(Fault::DropAfter) => return Ok(()),
        Some(Fault::Late(milliseconds)) => pause(milliseconds),
        Some(Fault::Drip(milliseconds)) => {
            let pause = || pause(milliseconds);
            return http::drip(stream, response.status, &response.headers, &response.body, pause);
        }
        _ => {}
    }
    http::reply(stream, response.status, &response.headers, &response.body)
}

/// Waits, in real time: the client is a real process.
fn pause(milliseconds: u64) {
    let (_nobody, moment) = std::sync::mpsc::channel::<()>();
    let _ = moment.recv_timeout(std::time::Duration::from_millis(milliseconds));
}

/// A refresh token that was sent. Its answer is given when this is dropped, however that ends.
struct Flight<'a> {
    sent: (u64, String),
    shared: &'a Shared,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if let Ok(mut state) = self.shared.state.lock() {
            state.oracle.answered(&self.sent);
        }
    }
}

fn route(request: &Received, on: &str, state: &mut State) -> Response {
    match on {
        "/.well-known/openid-configuration" => discovery(state),
        "/jwks" => Response::text(200, "application/json", keys::key_set()),
        "/authorize" => login_page(request),
        "/login" => log_in(request, state),
        "/device" | DEVICE_CODE if !is_the_client(request) => {
            Response::json(401, &json!({ "error": "invalid_client" }))
        }
        "/device" => begin_device(request, state),
        DEVICE_CODE => ask_device(request, state),
        "authorization_code" | "refresh_token" | "client_credentials" if !is_the_client(request) => {
            Response::json(401, &json!({ "error": "invalid_client" }))
        }
        "authorization_code" => exchange(request, state),
        "refresh_token" => refresh(request, state),
        "client_credentials" => for_the_client(request, state),
        "/revoke" => revoke(request, state),
        "/userinfo" => userinfo(request, state),
        _ => Response::text(404, "text/html", "<h1>Not Found</h1>".to_owned()),
    }
}

/// RFC 8628 section 3.2.
fn begin_device(request: &Received, state: &mut State) -> Response {
    let Some(life) = state.device_life else { return Response::error("unauthorized_client", "no codes for you") };
    let code = state.secret("dc");
    let scope = request.parameter("scope").unwrap_or_default();
    state.device_codes.insert(code.clone(), (scope, DeviceUser::Nothing));
    Response::json(
        200,
        &json!({
            "device_code": code,
            "user_code": "WDJB-MJHT",
            "verification_uri": format!("{}/device/page", state.issuer),
            "verification_uri_complete": format!("{}/device/page?user_code=WDJB-MJHT", state.issuer),
            "expires_in": life,
            "interval": 1,
        }),
    )
}

/// RFC 8628 section 3.5.
fn ask_device(request: &Received, state: &mut State) -> Response {
    let code = request.parameter("device_code").unwrap_or_default();
    let Some((scope, user)) = state.device_codes.get(&code).cloned() else {
        return Response::error("invalid_grant", "this device code is not known, or was used before");
    };
    match user {
        DeviceUser::Nothing => Response::error("authorization_pending", "nobody has come yet"),
        DeviceUser::Refused => Response::error("access_denied", "the user said no"),
        DeviceUser::LoggedIn(user) => {
            state.device_codes.remove(&code);
            let refresh_token = state.secret("rt");
            state.refresh_tokens.insert(refresh_token.clone(), (user.clone(), scope.clone()));
            state.oracle.issue(&refresh_token);
            tokens(state, &user, &scope, None, &refresh_token, true)
        }
    }
}

fn discovery(state: &State) -> Response {
    let issuer = &state.issuer;
    let named = if state.lie == Some(Lie::DiscoveryIssuer) { "https://id.evil.example" } else { issuer };
    let mut document = Response::json(
        200,
        &json!({
            "issuer": named,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "revocation_endpoint": format!("{issuer}/revoke"),
            "jwks_uri": format!("{issuer}/jwks"),
            "device_authorization_endpoint": state.device_life.map(|_| format!("{issuer}/device")),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        }),
    );
    if state.lie == Some(Lie::Date) {
        document.headers.push(("Date".to_owned(), "Sun, 06 Nov 1994 08:49:37 GMT".to_owned()));
    }
    document
}

fn login_page(request: &Received) -> Response {
    let form = format!("<form method=\"post\" action=\"/login?{}\"><input name=\"login\"></form>", request.query);
    Response::text(200, "text/html", form)
}

fn log_in(request: &Received, state: &mut State) -> Response {
    let parameter = |name: &str| request.parameter(name);
    let redirect_uri = parameter("redirect_uri").unwrap_or_default();
    let grant = Grant {
        user: parameter("login").unwrap_or_default(),
        nonce: parameter("nonce"),
        challenge: parameter("code_challenge"),
        redirect_uri: redirect_uri.clone(),
        scope: parameter("scope").unwrap_or_default(),
    };
    let mut back = http::parse(&redirect_uri);
    let callback_state = match state.lie {
        Some(Lie::State) => "bm90LW91cnM".to_owned(),
        _ => parameter("state").unwrap_or_default(),
    };
    if state.lie == Some(Lie::AccessDenied) {
        let error = [("error", "access_denied"), ("error_description", "the user said no")];
        back.query_pairs_mut().extend_pairs(error).append_pair("state", &callback_state);
    } else if state.lie == Some(Lie::InvalidScope) {
        back.query_pairs_mut().append_pair("error", "invalid_scope").append_pair("state", &callback_state);
    } else {
        let code = state.secret("code");
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", &callback_state);
        state.codes.insert(code, grant);
    }
    let issuer = if state.lie == Some(Lie::CallbackIssuer) { "https://id.evil.example" } else { &state.issuer };
    back.query_pairs_mut().append_pair("iss", issuer);
    Response { status: 302, headers: vec![("Location".to_owned(), back.into())], body: String::new() }
}

fn exchange(request: &Received, state: &mut State) -> Response {
    let code = request.parameter("code").unwrap_or_default();
    let Some(grant) = state.codes.remove(&code) else {
        return Response::error("invalid_grant", "this code is not known, or was used before");
    };
    let verifier = request.parameter("code_verifier").unwrap_or_default();
    let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(verifier));
    if grant.challenge != Some(challenge) {
        return Response::error("invalid_grant", "the code verifier does not fit");
    }
    if request.parameter("redirect_uri").as_ref() != Some(&grant.redirect_uri) {
        return Response::error("invalid_grant", "the redirect URI is another one");
    }
    let refresh_token = state.secret("rt");
    state.refresh_tokens.insert(refresh_token.clone(), (grant.user.clone(), grant.scope.clone()));
    state.oracle.issue(&refresh_token);
    tokens(state, &grant.user, &grant.scope, grant.nonce.as_deref(), &refresh_token, true)
}

fn refresh(request: &Received, state: &mut State) -> Response {
    let presented = request.parameter("refresh_token").unwrap_or_default();
    let Some((user, scope)) = state.refresh_tokens.get(&presented).cloned() else {
        return Response::error("invalid_grant", "this refresh token is not known");
    };
    let rotation = state.rotation;
    if state.oracle.worth(&presented, rotation) == Worth::Spent {
        // Whoever has it may be a thief: nobody gets anything for this login any more.
        for relative in state.oracle.relatives(&presented) {
            state.refresh_tokens.remove(&relative);
        }
        return Response::error("invalid_grant", "this refresh token was spent before");
    }
    let rotates = matches!(rotation, Rotation::Strict | Rotation::Grace(_));
    let refresh_token = if rotates { state.secret("rt") } else { presented.clone() };
    if rotates {
        state.oracle.succeed(&presented, &refresh_token);
        state.refresh_tokens.insert(refresh_token.clone(), (user.clone(), scope.clone()));
    }
    if state.kills_access {
        state.access_tokens.retain(|_, of| *of != user);
    }
    let user = if state.lie == Some(Lie::SubjectOnRefresh) { "mallory".to_owned() } else { user };
    tokens(state, &user, &scope, None, &refresh_token, rotation != Rotation::Silent)
}

/// RFC 6749 section 4.4. Nobody but the client stands behind the token.
fn for_the_client(request: &Received, state: &mut State) -> Response {
    let scope = request.parameter("scope").unwrap_or_default();
    if scope.split(' ').any(|scope| scope == "forbidden") {
        return Response::error("invalid_scope", "this client may not have it");
    }
    let access_token = state.secret("at");
    state.access_tokens.insert(access_token.clone(), "shop".to_owned());
    let answer = json!({
        "access_token": access_token, "token_type": "Bearer", "expires_in": state.access_life, "scope": scope,
    });
    Response::json(200, &answer)
}

fn tokens(
    state: &mut State,
    user: &str,
    scope: &str,
    nonce: Option<&str>,
    refresh_token: &str,
    is_named: bool,
) -> Response {
    let access_token = state.secret("at");
    state.access_tokens.insert(access_token.clone(), user.to_owned());
    state.oracle.grant(refresh_token, &access_token);
    let mut answer = json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": state.access_life,
        "scope": scope,
    });
    let mut newest = [access_token.clone(), refresh_token.to_owned(), String::new()];
    if state.lie != Some(Lie::NoIdToken) {
        let id_token = id_token(state, user, nonce, &access_token);
        state.secrets.push(id_token.clone());
        newest[2].clone_from(&id_token);
        answer["id_token"] = id_token.into();
    }
    state.newest.insert(user.to_owned(), newest);
    if is_named {
        answer["refresh_token"] = refresh_token.into();
    }
    Response::json(200, &answer)
}

fn id_token(state: &State, user: &str, nonce: Option<&str>, access_token: &str) -> String {
    let lies = |lie| state.lie == Some(lie);
    let day = 86_400;
    let now = unix_seconds() + if lies(Lie::Expired) { -day } else { day * i64::from(lies(Lie::FromTheFuture)) };
    let hashed = if lies(Lie::AccessTokenHash) { "another access token" } else { access_token };
    let mut claims = json!({
        "iss": if lies(Lie::Issuer) { "https://id.evil.example" } else { &state.issuer },
        "aud": if lies(Lie::Audience) { "another-client" } else { "shop" },
        "sub": format!("sub-{user}"),
        "iat": now,
        "exp": now + 600,
        "at_hash": BASE64URL_NOPAD.encode(&Sha256::digest(hashed)[..16]),
        "preferred_username": user,
        "email": format!("{user}@corp.example"),
        "amr": ["pwd"],
    });
    for (name, value) in &state.claims {
        claims[name] = value.as_str().into();
    }
    if let Some(nonce) = nonce {
        claims["auth_time"] = now.into();
        claims["nonce"] = if lies(Lie::Nonce) { "of-another-login" } else { nonce }.into();
    }
    let header =
        if lies(Lie::Unsigned) { json!({ "alg": "none" }) } else { json!({ "alg": "RS256", "kid": "scripted" }) };
    let part = |value: &serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let mut signature = if lies(Lie::Unsigned) { vec![] } else { keys::sign(&signed) };
    if lies(Lie::Signature) {
        signature[7] ^= 1;
    }
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

fn revoke(request: &Received, state: &mut State) -> Response {
    if !is_the_client(request) {
        return Response::json(401, &json!({ "error": "invalid_client" }));
    }
    let token = request.parameter("token").unwrap_or_default();
    let owner = state.refresh_tokens.remove(&token).map(|(user, _)| user);
    // With the refresh token goes everything that was granted with it (RFC 7009 section 2.1).
    state.access_tokens.retain(|access, user| *access != token && Some(&*user) != owner.as_ref());
    Response::text(200, "text/plain", String::new())
}

fn userinfo(request: &Received, state: &State) -> Response {
    let token = request.header("authorization").and_then(|value| value.split_once(' ')).map(|(_, token)| token);
    match token.and_then(|token| state.access_tokens.get(token)) {
        Some(user) => Response::json(
            200,
            &json!({ "sub": format!("sub-{user}"), "preferred_username": user, "email": format!("{user}@corp.example") }),
        ),
        None => Response::json(401, &json!({ "error": "invalid_token" })),
    }
}

/// By `client_secret_basic` or `client_secret_post`.
fn is_the_client(request: &Received) -> bool {
    let basic = request.header("authorization") == Some(&http::basic("shop", CLIENT_SECRET));
    let secret = request.parameter("client_secret");
    basic || (request.parameter("client_id").as_deref() == Some("shop") && secret.as_deref() == Some(CLIENT_SECRET))
}
