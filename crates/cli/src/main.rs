//! The command line of tokenkeeper: arguments -> command -> exit status. A shell that wants completions is answered before that.

mod arguments;
mod browser;
mod clock;
mod color;
mod command;
mod complete;
mod context;
mod device;
mod escape;
mod exit;
mod failure;
mod hidden_line;
mod json;
mod loopback;
#[cfg(test)]
mod manual;
mod moment;
mod paste;
mod people;
mod progress;
mod qr;
mod table;
mod whole_file;

use std::process::ExitCode;

fn main() -> ExitCode {
    complete::answer_shell();
    let arguments = match arguments::parse() {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    let context = arguments.context();
    let status = arguments.command.run(&context).unwrap_or_else(|failure| context.report(&failure));
    ExitCode::from(status)
}
