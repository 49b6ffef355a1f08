//! One connection to the loopback listener: what it asks for, and what it gets.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::head::{self, Head, Unreadable};
use super::{AuthorizeUrl, Callback, page};

/// A visitor that does not take its page within this gets none.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// The login that is waited for.
pub(super) struct Flow {
    pub(super) url: AuthorizeUrl,
    pub(super) start_path: String,
    /// The start page was visited.
    pub(super) started: AtomicBool,
    /// The callback came.
    pub(super) answered: AtomicBool,
    pub(super) sender: Sender<Callback>,
}

impl Flow {
    /// Serves one visitor.
    pub(super) fn receive(&self, mut stream: TcpStream) {
        let page = match head::read(&mut stream) {
            Ok(head) if self.is_callback(&head) => {
                // If nobody waits any more, the process is about to end.
                drop(self.sender.send(Callback { query: head.query, stream }));
                return;
            }
            Ok(head) => self.page(&head),
            Err(Unreadable::Gone) => return,
            Err(Unreadable::TooLong) => page::page("431 Request Header Fields Too Large", "That is too long.", ""),
            Err(Unreadable::Malformed) => page::page("400 Bad Request", "That is not HTTP.", ""),
        };
        send(stream, &page);
    }

    /// Whether this is the one callback that ends the waiting. It says so once.
    fn is_callback(&self, head: &Head) -> bool {
        head.method == "GET"
            && head.path == "/callback"
            && self.url.is_answered_by(head.query.expose())
            && !self.answered.swap(true, Ordering::Relaxed)
    }

    fn page(&self, head: &Head) -> String {
        if head.method != "GET" {
            return page::page("405 Method Not Allowed", "That is not served here.", "");
        }
        if head.path == self.start_path {
            if self.started.swap(true, Ordering::Relaxed) {
                return page::page("410 Gone", "This address was used already.", "Begin again: tokenkeeper login");
            }
            return page::redirect(self.url.as_str());
        }
        if head.path == "/callback" {
            let text = "It does not belong to the login that is waited for. You may close this window.";
            return page::page("400 Bad Request", "This answer is not expected.", text);
        }
        page::page("404 Not Found", "There is nothing here.", "")
    }
}

/// Writes a page and says goodbye.
pub(super) fn send(mut stream: TcpStream, page: &str) {
    let sent = stream.set_write_timeout(Some(SEND_TIMEOUT)).and_then(|()| stream.write_all(page.as_bytes()));
    // A visitor that is gone needs no goodbye.
    drop(sent.and_then(|()| stream.shutdown(Shutdown::Write)));
}
