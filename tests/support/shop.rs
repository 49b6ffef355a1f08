//! The web backend of `docs/guide/web-backend.md`, run as its readers would run it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{Home, RealProvider};

/// The key that signs the cookies of all workers.
const KEY: &str = "the-same-for-all-workers";

/// One worker. It ends with the test.
pub(crate) struct Shop {
    process: Child,
    /// Where it listens.
    pub(crate) address: String,
}

impl Shop {
    /// A worker behind no proxy.
    pub(crate) fn start(home: &Home, provider: &RealProvider) -> Self {
        Self::start_with(home, provider, &[])
    }

    /// The same with more of its options.
    pub(crate) fn start_with(home: &Home, provider: &RealProvider, more: &[&str]) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/web-backend/shop.py");
        let mut process = Command::new("python3")
            .arg(program)
            .args(["--provider", "corp", "--port", "0", "--api", &format!("{}/me", provider.issuer)])
            .args(more)
            .env("TOKENKEEPER_HTTP_SOCKET", home.http_socket())
            .env("SHOP_KEY", KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run python3 ({error}): install it (`make deps` does)"));
        let mut first = String::new();
        let stdout = process.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut first).expect("it prints UTF-8");
        let address = first.trim_end().strip_prefix("READY ").expect("the shop says where it listens").to_owned();
        Self { process, address }
    }

    pub(crate) fn page(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// The port, so that another worker can take its place.
    pub(crate) fn port(&self) -> &str {
        self.address.rsplit_once(':').map_or("", |(_, port)| port)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
