//! What stands on the command line. The arguments of each command are in its own file.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ColorChoice, Parser};

use crate::command::Command;
use crate::context::Context;
use crate::exit;
use crate::json;

const EXAMPLES: &str = "\
Examples:
  tokenkeeper login corp                log in, with your browser
  tokenkeeper token corp                a valid access token, alone on standard output
  curl -H \"Authorization: Bearer $(tokenkeeper token corp)\" https://api.corp.example/
  tokenkeeper sessions                  what you are logged in to
  tokenkeeper logout 7k3vq2mx           end a session, here and at its provider
  tokenkeeper provider test corp        does this provider work, and if not, what to do

Exit status:
  0 done                      65 the request makes no sense     75 try again later
  3 log in again              69 daemon not reachable           76 not our protocol
  4 not found                 70 fault of the daemon            77 refused
  5 several sessions match    74 cannot read or write           78 wrong configuration
  6 login failed              64 wrong usage                   130 interrupted
  7 tokens never live that long
  `tokenkeeper status` ends with 0 when all is well, 1 when degraded, 2 when nothing is served;
  `tokenkeeper provider test` and `store verify` end with 1 if they find something wrong.";

const SOCKET_HELP: &str =
    "The daemon's socket [default: $TOKENKEEPER_SOCKET, else that of your own daemon, else that of the system]";
const COLOR_HELP: &str = "When to use colour: auto is on terminals, unless NO_COLOR is set";

/// Log in once, then get valid access tokens for as long as the session lasts.
///
/// The daemon, tokenkeeperd, keeps the sessions and refreshes their tokens. This command talks to it over a local socket; what you
/// may do is decided by the rules of its configuration.
#[derive(Debug, Parser)]
#[command(name = "tokenkeeper", version, after_help = EXAMPLES, propagate_version = false)]
pub(crate) struct Arguments {
    #[arg(long, global = true, value_name = "PATH", help = SOCKET_HELP)]
    socket: Option<PathBuf>,

    /// Answer in JSON, errors too
    #[arg(long, global = true)]
    json: bool,

    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help = COLOR_HELP)]
    color: ColorChoice,

    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    pub(crate) fn context(&self) -> Context {
        match self.color {
            ColorChoice::Auto => anstream::ColorChoice::Auto,
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        }
        .write_global();
        Context { socket: self.socket.clone(), json: self.json }
    }
}

/// The arguments of this process, or the status to exit with: help was asked for and shown, or they make no sense.
pub(crate) fn parse() -> Result<Arguments, ExitCode> {
    Arguments::try_parse().map_err(|error| {
        if !error.use_stderr() {
            // Nothing can be said about a standard output that cannot be written to.
            drop(error.print());
            return ExitCode::SUCCESS;
        }
        let text = error.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
        if wants_json(std::env::args_os()) {
            json::print_error(&json::Problem::plain("usage", &first_paragraph(text), exit::USAGE));
        } else if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            drop(error.print());
        } else {
            drop(std::io::Write::write_fmt(&mut anstream::stderr(), format_args!("tokenkeeper: {text}\n")));
        }
        ExitCode::from(exit::USAGE)
    })
}

/// What is wrong, without the usage that follows; in one line, though what is missing stands in lines of its own.
fn first_paragraph(text: &str) -> String {
    text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether `--json` stands among arguments that could not be understood.
fn wants_json(arguments: impl Iterator<Item = OsString>) -> bool {
    arguments.take_while(|argument| argument != "--").any(|argument| argument == "--json")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_token_is_asked_for_by_provider_by_session_or_by_account_and_never_by_two() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' ')).map(|_| ()).map_err(|error| error.kind());
        assert_eq!(parse("tokenkeeper token corp --user alice"), Ok(()));
        assert_eq!(parse("tokenkeeper token --session 7k3vq2mx"), Ok(()));
        assert_eq!(parse("tokenkeeper token --account nightly --scope reports"), Ok(()));
        for wrong in [
            "token",
            "token --user alice",
            "token corp --session 7k3vq2mx",
            "token --session 7k3vq2mx --user alice",
            "token corp --account nightly",
            "token --account nightly --session 7k3vq2mx",
            "token --account nightly --user alice",
        ] {
            assert!(parse(&format!("tokenkeeper {wrong}")).is_err(), "{wrong}");
        }
    }
}
