//! `tokenkeeper token` as a whole process, taking turns with `true`: what a script pays for a token, and what for any process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use tokenkeeper_protocol::SessionRef;

use crate::compare::median;
use crate::report::Report;
use crate::stopwatch::Stopwatch;

const TURNS: usize = 100;

pub(crate) fn measure(socket: &Path, session: SessionRef, report: &mut Report) -> anyhow::Result<()> {
    let program = program()?;
    let token = || {
        let mut command = Command::new(&program);
        command.env("TOKENKEEPER_SOCKET", socket).args(["token", "--session", session.as_str()]);
        command
    };
    // Not counted: their pages are read from disk, and whatever is wrong shows itself.
    let output = token().output().with_context(|| format!("cannot run {}", program.display()))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && !output.stdout.is_empty(), "tokenkeeper token failed: {complaint}");
    milliseconds(Command::new("true"))?;

    let turn = || anyhow::Ok((milliseconds(token())?, milliseconds(Command::new("true"))?));
    let (tokens, trues): (Vec<_>, Vec<_>) =
        std::iter::repeat_with(turn).take(TURNS).collect::<anyhow::Result<Vec<_>>>()?.into_iter().unzip();
    report.add("cli_token_ms", median(tokens), "whole process");
    report.add("true_ms", median(trues), "the least a process can take");
    Ok(())
}

/// It is of another package, so Cargo does not tell; it lies beside the daemon once it is built.
fn program() -> anyhow::Result<PathBuf> {
    let program = Path::new(env!("CARGO_BIN_EXE_tokenkeeperd")).with_file_name("tokenkeeper");
    ensure!(
        program.exists(),
        "{} is not there: build it with `cargo build --release -p tokenkeeper`",
        program.display()
    );
    Ok(program)
}

fn milliseconds(mut command: Command) -> anyhow::Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let watch = Stopwatch::start();
    let status = command.status()?;
    let elapsed = watch.elapsed();
    ensure!(status.success(), "{command:?} failed");
    Ok(elapsed.as_secs_f64() * 1e3)
}
