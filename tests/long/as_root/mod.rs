//! What only root can do to a daemon or its disk: the Makefile leaves these out for everyone else, and says so.

mod core;
mod faults;
mod power;

use std::process::{Command, Output};

/// Runs a program that must succeed.
fn run(program: &str, arguments: &[&str]) -> Output {
    assert!(nix::unistd::Uid::effective().is_root(), "only root can do this: run `sudo make test-long`");
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; run scripts/prerequisites long"));
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    output
}
