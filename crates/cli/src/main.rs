//! The command line of tokenkeeper: arguments -> command -> exit status.

mod arguments;
mod browser;
mod clock;
mod command;
mod context;
mod device;
mod escape;
mod exit;
mod failure;
mod hidden_line;
mod json;
mod loopback;
mod moment;
mod paste;
mod people;
mod qr;
mod span;
mod table;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match arguments::parse() {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    let context = arguments.context();
    let status = arguments.command.run(&context).unwrap_or_else(|failure| context.report(&failure));
    ExitCode::from(status)
}
