//! Login without a browser on this machine: the person carries the callback over, by copying the address of an error page.

use std::io::{self, BufRead, IsTerminal, Read};

use tokenkeeper_client::Secret;
use zeroize::Zeroizing;

use crate::context::tell;
use crate::failure::Failure;
use crate::hidden_line;
use crate::loopback::AuthorizeUrl;

/// Nothing listens there, on whichever machine the browser runs: the port has no service, only root could open it, and browsers do
/// not block it (they refuse port 1 and others without even showing the address).
const SILENT_PORT: u16 = 4;
/// Longer than any callback a provider sends.
const MAX_LENGTH: usize = 16 * 1024;

/// Where the provider sends the browser.
pub(crate) fn redirect_uri(port: Option<u16>) -> String {
    format!("http://127.0.0.1:{}/callback", port.unwrap_or(SILENT_PORT))
}

/// Shows the way and reads the address the browser ended at. Gives its query.
pub(crate) fn ask(url: &AuthorizeUrl, redirect_uri: &str) -> Result<Secret, Failure> {
    tell(format_args!(
        "1. Open this address in a browser, on any machine, and log in:\n  {}\n\
         2. The browser ends at a page it cannot open: {redirect_uri}... That is as it should be.\n\
         3. Copy the whole address from its address bar, paste it here, and press Enter. It is not shown.",
        url.as_str()
    ));
    let line = read_line()?;
    let query = query_of(line.trim());
    // The address of the login page has the right `state` too, and is pasted by mistake.
    let fits = |query: &&str| url.is_answered_by(query) && !url.as_str().contains(query);
    let query = query.filter(fits).ok_or(Failure::WrongPaste)?;
    Ok(Secret::from(query))
}

fn read_line() -> Result<Zeroizing<String>, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return hidden_line::read(&stdin, MAX_LENGTH);
    }
    let mut line = Zeroizing::new(String::with_capacity(MAX_LENGTH));
    stdin.lock().take(MAX_LENGTH as u64).read_line(&mut line).map_err(Failure::Input)?;
    Ok(line)
}

/// What stands between `?` and `#`. A query alone, with or without `?`, will do.
fn query_of(pasted: &str) -> Option<&str> {
    let address = pasted.split('#').next().unwrap_or_default();
    let query = address.split_once('?').map_or(address, |(_, query)| query);
    query.contains('=').then_some(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_found_in_whatever_people_copy() {
        for pasted in [
            "http://127.0.0.1:4/callback?code=x&state=y",
            "?code=x&state=y",
            "code=x&state=y",
            "127.0.0.1:4/callback?code=x&state=y#",
        ] {
            assert_eq!(query_of(pasted), Some("code=x&state=y"), "{pasted}");
        }
        for pasted in ["", "http://127.0.0.1:4/callback", "hello"] {
            assert_eq!(query_of(pasted), None, "{pasted}");
        }
    }

    #[test]
    fn the_browser_is_sent_to_a_loopback_address() {
        assert_eq!(redirect_uri(None), "http://127.0.0.1:4/callback");
        assert_eq!(redirect_uri(Some(8123)), "http://127.0.0.1:8123/callback");
    }
}
