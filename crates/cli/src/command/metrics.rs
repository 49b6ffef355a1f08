//! `tokenkeeper metrics`: what the daemon counts and measures, for monitoring.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::escape::plain;
use crate::failure::Failure;
use crate::whole_file;

/// Collectors run as users of their own.
const MODE: u32 = 0o644;

const EXAMPLES: &str = "\
Examples:
  tokenkeeper metrics
  tokenkeeper metrics --output /var/lib/prometheus/node-exporter/tokenkeeper.prom

Exit status: 0 done, 69 daemon not reachable, 74 the file cannot be written, 77 refused.";

/// Print what is counted and measured, for monitoring
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Metrics {
    /// Write it to this file, all at once, for a collector of text files
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Metrics {
    pub(crate) fn run(&self, context: &Context) -> Result<u8, Failure> {
        let text = context.connect()?.metrics()?;
        if let Some(path) = &self.output {
            whole_file::replace_with(path, MODE, text.as_bytes())?;
        } else {
            let safe: String = text.lines().map(|line| plain(line) + "\n").collect();
            context.answer(safe, &Object { text: &text })?;
        }
        Ok(0)
    }
}

#[derive(Serialize)]
struct Object<'a> {
    text: &'a str,
}
