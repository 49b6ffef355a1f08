//! `tokenkeeper store verify`: whether every record opens, and every index entry leads somewhere.

use clap::Args;
use serde::Serialize;
use tokenkeeper_client::StoreVerify;
use tokenkeeper_client::reply::{Finding, VerifyPage};
use tokenkeeper_protocol::json;

use crate::context::Context;
use crate::escape::plain;
use crate::exit;
use crate::failure::Failure;
use crate::progress::Progress;

/// Characters of a full bar.
const BAR: u64 = 30;

const EXAMPLES: &str = "\
Examples:
  sudo tokenkeeper store verify
  sudo tokenkeeper store verify --json | jq -r '.findings[].session'

Exit status: 0 nothing is wrong, 1 something is, 69 daemon not reachable, 77 refused.";

/// Check every record of the store, and every index entry
///
/// The daemon goes on serving; Ctrl-C ends the check. What is wrong is listed by table and key, with the session it belongs to.
/// Nothing is mended: who is named logs in again, or a backup is restored. The daemon checks by itself once a week.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Verify {}

impl Verify {
    #[expect(clippy::unused_self, reason = "like every command")]
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let mut client = context.connect()?;
        let (mut findings, mut checked, mut cursor) = (Vec::new(), 0, None);
        let mut progress = Progress::on_stderr(!context.json);
        loop {
            let page = client.store_verify(StoreVerify { cursor: cursor.clone() })?;
            checked += page.checked;
            progress.show(&bar(checked, &page));
            findings.extend(page.findings);
            // One that does not advance would have us ask for ever.
            cursor = page.next.filter(|next| cursor.as_ref() != Some(next));
            if cursor.is_none() {
                break;
            }
        }
        drop(progress);
        let object = Object { checked, findings: findings.iter().map(json::Finding::from).collect() };
        context.answer(describe(checked, &findings), &object)?;
        Ok(if findings.is_empty() { 0 } else { exit::DEGRADED })
    }
}

fn describe(checked: u64, findings: &[Finding]) -> String {
    let told = findings.iter().map(|Finding { table, key, session, what }| {
        let session = session.map(|session| format!(" (session {session})")).unwrap_or_default();
        format!("{} {}{session}: {}\n", plain(table), plain(key), plain(what))
    });
    let sum = match findings.len() {
        0 => "nothing is wrong".to_owned(),
        1 => "1 thing is wrong".to_owned(),
        several => format!("{several} things are wrong"),
    };
    format!("{}{checked} rows checked, {sum}.\n", told.collect::<String>())
}

/// How far it is, as the database estimates what is to be done.
fn bar(checked: u64, page: &VerifyPage) -> String {
    let done = (checked * BAR).checked_div(page.total).unwrap_or(BAR).min(BAR);
    let bar: String = (0..BAR).map(|place| if place < done { '#' } else { '.' }).collect();
    format!("[{bar}] {} {checked}", plain(&page.table))
}

#[derive(Serialize)]
struct Object<'a> {
    checked: u64,
    findings: Vec<json::Finding<'a>>,
}
