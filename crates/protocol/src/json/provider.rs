//! Providers: as they are configured, and what came out of a test.

use serde::Serialize;

use super::ProviderStatus;
use crate::reply::{self, StepOutcome};

/// View of a [`reply::ProvidersReply`].
#[derive(Serialize)]
pub struct Providers<'a> {
    providers: Vec<Provider<'a>>,
}

impl<'a> From<&'a reply::ProvidersReply> for Providers<'a> {
    fn from(reply: &'a reply::ProvidersReply) -> Self {
        Self { providers: reply.providers.iter().map(Provider::from).collect() }
    }
}

/// View of a [`reply::ProviderView`].
#[derive(Serialize)]
pub struct Provider<'a> {
    #[serde(flatten)]
    status: ProviderStatus<'a>,
    kind: &'a str,
    issuer: &'a str,
    client_id: &'a str,
    client_authentication: &'a str,
    redirect_uris: &'a [String],
    scopes: &'a [String],
    max_age_seconds: u64,
    accounts: Vec<&'a str>,
}

impl<'a> From<&'a reply::ProviderView> for Provider<'a> {
    fn from(view: &'a reply::ProviderView) -> Self {
        Self {
            status: ProviderStatus::from(&view.status),
            kind: &view.kind,
            issuer: &view.issuer,
            client_id: &view.client_id,
            client_authentication: &view.client_authentication,
            redirect_uris: &view.redirect_uris,
            scopes: &view.scopes,
            max_age_seconds: view.max_age_seconds,
            accounts: view.accounts.iter().map(crate::AccountName::as_str).collect(),
        }
    }
}

/// View of a [`reply::ProviderReport`].
#[derive(Serialize)]
pub struct ProviderReport<'a> {
    provider: &'a str,
    works: bool,
    steps: Vec<ProviderStep<'a>>,
}

impl<'a> From<&'a reply::ProviderReport> for ProviderReport<'a> {
    fn from(report: &'a reply::ProviderReport) -> Self {
        let steps = report.steps.iter().map(ProviderStep::from).collect();
        Self { provider: report.provider.as_str(), works: report.works, steps }
    }
}

/// View of a [`reply::ProviderStep`].
#[derive(Serialize)]
pub struct ProviderStep<'a> {
    name: &'a str,
    outcome: &'static str,
    detail: &'a str,
    milliseconds: u32,
}

impl<'a> From<&'a reply::ProviderStep> for ProviderStep<'a> {
    fn from(step: &'a reply::ProviderStep) -> Self {
        let outcome = match step.outcome {
            StepOutcome::Passed => "passed",
            StepOutcome::Warned => "warned",
            StepOutcome::Failed => "failed",
        };
        Self { name: &step.name, outcome, detail: &step.detail, milliseconds: step.milliseconds }
    }
}
