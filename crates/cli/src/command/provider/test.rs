//! `tokenkeeper provider test`: does it work, and if not, what is to be done?

use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use tokenkeeper_client::ProviderName;
use tokenkeeper_client::reply::{ProviderReport, StepOutcome};
use tokenkeeper_protocol::json;

use crate::context::Context;
use crate::escape::plain;
use crate::failure::Failure;
use crate::table::{Cell, Table};
use crate::{color, complete, exit};

/// The daemon asks the provider up to three times, and waits up to 25 seconds for each answer.
const PATIENCE: Duration = Duration::from_secs(90);

const EXAMPLES: &str = "\
Example:
  sudo systemctl reload tokenkeeperd && sudo tokenkeeper provider test corp

Exit status: 0 it works, 1 it does not, 4 no such provider, 69 daemon not reachable, 77 refused.";

/// Test whether a provider works
///
/// The daemon tries everything that needs no user: connection, discovery, endpoints, keys, clocks, and whether the provider accepts our
/// client. For the last it presents a refresh token that never existed, once; no session and no real token is touched. You need a rule
/// for `manage` or for `login` at the provider.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Test {
    /// The provider, as `tokenkeeper provider list` calls it
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::providers))]
    provider: ProviderName,
}

impl Test {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let mut client = context.connect_within(PATIENCE)?;
        let report = client.provider_test(self.provider.clone());
        let report = report.map_err(|error| Failure::at(error, Some(&self.provider)))?;
        context.answer(describe(&report), &json::ProviderReport::from(&report))?;
        Ok(if report.works { 0 } else { exit::DOES_NOT_WORK })
    }
}

fn describe(report: &ProviderReport) -> String {
    let mut table = Table::default();
    for step in &report.steps {
        let (word, style) = match step.outcome {
            StepOutcome::Passed => ("ok", color::GOOD),
            StepOutcome::Warned => ("warn", color::FAIR),
            StepOutcome::Failed => ("FAIL", color::BAD),
        };
        let took = if step.milliseconds == 0 { String::new() } else { format!("{} ms", step.milliseconds) };
        table.row([Cell(word.to_owned(), style), plain(&step.name).into(), took.into(), plain(&step.detail).into()]);
    }
    let count = |outcome| report.steps.iter().filter(|step| step.outcome == outcome).count();
    let (failed, warned) = (count(StepOutcome::Failed), count(StepOutcome::Warned));
    let name = &report.provider;
    let (good, fair, bad) = (color::GOOD, color::FAIR, color::BAD);
    let verdict = match (report.works, warned) {
        (true, 0) => format!("{name} {good}works{good:#}."),
        (true, warned) => format!("{name} works, with {fair}{warned} to look at{fair:#}."),
        (false, _) => format!("{name} {bad}does not work{bad:#}: {failed} failed."),
    };
    format!("{table}{verdict}\n")
}
