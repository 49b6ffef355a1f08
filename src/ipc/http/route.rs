//! Every path and method, in one table; `docs/openapi.json` has the same, and a test compares them.

use hyper::{Method, StatusCode};
use tokenkeeper_protocol::Code;

use super::problem::Failure;

/// What a method on a path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    BeginLogin,
    CompleteLogin,
    BeginDeviceLogin,
    WaitForLogin,
    SessionToken,
    AccountToken,
    Logout,
    Sessions,
    Session,
    History,
    Status,
    WhoAmI,
    Providers,
    Metrics,
    Alive,
    Ready,
    Document,
}

/// One row of the table. A segment in braces stands for any text; no path has two of them.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) endpoint: Endpoint,
}

/// The table.
pub(super) const ROUTES: &[Route] = &[
    post("/v1/sessions/{session}/token", Endpoint::SessionToken),
    post("/v1/service-accounts/{name}/token", Endpoint::AccountToken),
    post("/v1/logins", Endpoint::BeginLogin),
    post("/v1/logins/{login_id}/complete", Endpoint::CompleteLogin),
    post("/v1/device-logins", Endpoint::BeginDeviceLogin),
    post("/v1/logins/{login_id}/wait", Endpoint::WaitForLogin),
    post("/v1/sessions/{session}/logout", Endpoint::Logout),
    get("/v1/sessions", Endpoint::Sessions),
    get("/v1/sessions/{session}", Endpoint::Session),
    get("/v1/sessions/{session}/history", Endpoint::History),
    get("/v1/status", Endpoint::Status),
    get("/v1/whoami", Endpoint::WhoAmI),
    get("/v1/providers", Endpoint::Providers),
    get("/metrics", Endpoint::Metrics),
    get("/healthz", Endpoint::Alive),
    get("/readyz", Endpoint::Ready),
    get("/openapi.json", Endpoint::Document),
];

const fn get(path: &'static str, endpoint: Endpoint) -> Route {
    Route { method: Method::GET, path, endpoint }
}

const fn post(path: &'static str, endpoint: Endpoint) -> Route {
    Route { method: Method::POST, path, endpoint }
}

/// What a request is for, and what stands for the braces of its path.
pub(super) fn find<'a>(method: &Method, path: &'a str) -> Result<(Endpoint, &'a str), Failure> {
    let mut allow = Vec::new();
    for route in ROUTES {
        match matching(route.path, path) {
            Some(named) if route.method == *method => return Ok((route.endpoint, named)),
            Some(_) => allow.push(route.method.as_str()),
            None => {}
        }
    }
    if allow.is_empty() {
        let words = "there is nothing at this path; GET /openapi.json lists the paths that there are";
        return Err(Failure::with(StatusCode::NOT_FOUND, Code::NotFound, words));
    }
    let allow = allow.join(", ");
    let words = format!("this path takes {allow} only");
    let failure = Failure::with(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, words);
    Err(Failure { allow: Some(allow), ..failure })
}

/// What stands for the braces, if `path` is as `pattern` wants it; nothing stands for none.
fn matching<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let mut named = "";
    let mut segments = path.split('/');
    for wanted in pattern.split('/') {
        let segment = segments.next()?;
        if wanted.starts_with('{') && !segment.is_empty() {
            named = segment;
        } else if wanted != segment {
            return None;
        }
    }
    segments.next().is_none().then_some(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_with_what_it_names() {
        let found = |method, path| find(&method, path).ok();
        assert_eq!(found(Method::GET, "/v1/sessions"), Some((Endpoint::Sessions, "")));
        assert_eq!(found(Method::GET, "/v1/sessions/7k3vq2mx"), Some((Endpoint::Session, "7k3vq2mx")));
        assert_eq!(found(Method::POST, "/v1/sessions/7k3vq2mx/token"), Some((Endpoint::SessionToken, "7k3vq2mx")));
    }

    #[test]
    fn what_is_no_path_is_not_found() {
        for path in ["/", "", "*", "/v1", "/v1/sessions/", "/v1/sessions//token", "//v1/sessions", "/V1/sessions"] {
            assert_eq!(find(&Method::GET, path).unwrap_err().status, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let failure = find(&Method::DELETE, "/v1/sessions/7k3vq2mx").unwrap_err();
        assert_eq!((failure.status, failure.allow.as_deref()), (StatusCode::METHOD_NOT_ALLOWED, Some("GET")));
        assert_eq!(find(&Method::GET, "/v1/logins").unwrap_err().allow.as_deref(), Some("POST"));
    }
}
