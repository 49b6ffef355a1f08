//! What is told of a problem beside its code and its message.

use serde::Serialize;

use super::rfc3339;
use crate::{Code, Problem};

/// The members that a problem has in JSON, whatever carries it: flatten them into an object of its own kind.
#[derive(Debug, Default, Serialize)]
pub struct ProblemDetails {
    retry_after_ms: Option<u32>,
    session: Option<String>,
    reason: Option<String>,
    since: Option<String>,
    replaces: Option<String>,
    audit_reference: Option<String>,
}

impl From<&Problem> for ProblemDetails {
    fn from(problem: &Problem) -> Self {
        let session = problem.session.map(|session| session.to_string());
        Self {
            retry_after_ms: problem.retry_after_ms,
            reason: problem.login_reason().map(str::to_owned),
            since: problem.since.map(rfc3339),
            replaces: session.clone().filter(|_| problem.code == Code::LoginRequired),
            session,
            audit_reference: problem.audit_reference.clone(),
        }
    }
}
