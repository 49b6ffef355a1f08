//! Problems as HTTP tells them (RFC 9457), with the code, the exact status and what the native protocol tells beside it.

use hyper::StatusCode;
use serde::Serialize;
use tokenkeeper_protocol::json::ProblemDetails;
use tokenkeeper_protocol::{Code, Problem};

/// Where each code has its heading, which makes the address of the problem's type.
const TYPES: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/guide/http.md#");

/// A problem and the status it is told with.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) problem: Problem,
    /// The methods of a path, for a request with another one.
    pub(super) allow: Option<String>,
    /// Whether the rest of what the peer sends cannot be understood any more.
    pub(super) closes: bool,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let status = StatusCode::from_u16(problem.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, problem, allow: None, closes: false }
    }
}

impl Failure {
    /// One of HTTP's own, with a status that says more than the code's usual one.
    pub(super) fn with(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self { status, ..Self::from(Problem::new(code, message)) }
    }

    /// A request that makes no sense.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::from(Problem::new(Code::BadRequest, message))
    }

    /// The same, and the connection ends behind the answer.
    pub(super) fn closing(self) -> Self {
        Self { closes: true, ..self }
    }

    /// The body.
    pub(super) fn body(&self) -> Body<'_> {
        let code = self.problem.code.name();
        Body {
            kind: format!("{TYPES}{code}"),
            title: title(code),
            status: self.status.as_u16(),
            detail: &self.problem.message,
            code,
            details: ProblemDetails::from(&self.problem),
        }
    }
}

/// `application/problem+json`.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(flatten)]
    details: ProblemDetails,
}

/// `login_required` as people read it: `Login required`.
fn title(code: &str) -> String {
    let mut title = code.replace('_', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_every_problem_is_a_heading_of_the_guide() {
        let guide = include_str!("../../../docs/guide/http.md");
        for code in Code::ALL {
            let failure = Failure::from(Problem::new(*code, "it is so"));
            let body = serde_json::to_value(failure.body()).unwrap();
            let (_, anchor) = body["type"].as_str().unwrap().split_once('#').unwrap();
            let heading = format!("\n### {anchor}\n");
            assert!(guide.contains(&heading), "no heading {anchor}");
            assert_eq!(body["status"], failure.status.as_u16());
        }
    }

    #[test]
    fn a_problem_has_a_title_for_people() {
        assert_eq!(title("login_required"), "Login required");
    }
}
