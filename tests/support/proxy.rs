//! The network between a daemon and a provider, which a test can cut: a TCP proxy on loopback, in threads of the test.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A running proxy. It leads nowhere until it is told where to.
pub(crate) struct Proxy {
    /// What stands for the address of the provider.
    pub(crate) url: String,
    network: Arc<Network>,
}

#[derive(Default)]
struct Network {
    target: Mutex<Option<SocketAddr>>,
    is_cut: AtomicBool,
    /// Answers that are still to be lost.
    to_lose: AtomicUsize,
    last_number: AtomicU64,
    open: Mutex<HashMap<u64, [TcpStream; 2]>>,
}

impl Proxy {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let network = Arc::new(Network::default());
        let carrier = Arc::clone(&network);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let network = Arc::clone(&carrier);
                // Whoever hangs up is no concern of the network's.
                std::thread::spawn(move || network.carry(client));
            }
        });
        Self { url, network }
    }

    /// From now on it leads to the server at this URL.
    pub(crate) fn lead_to(&self, url: &str) {
        let address = url.strip_prefix("http://").and_then(|address| address.parse().ok());
        *self.network.target.lock().unwrap() = Some(address.expect("the address of a server on loopback"));
    }

    /// Ends every connection in the middle of whatever it carries, and any new one, until [`Self::mend`].
    pub(crate) fn cut(&self) {
        self.network.is_cut.store(true, Ordering::SeqCst);
        for stream in self.network.open.lock().unwrap().values().flatten() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn mend(&self) {
        self.network.is_cut.store(false, Ordering::SeqCst);
    }

    /// Loses the next answers: the server has done what it was asked, and nobody hears of it.
    pub(crate) fn lose_answers(&self, number: usize) {
        self.network.to_lose.fetch_add(number, Ordering::SeqCst);
    }
}

impl Network {
    fn carry(&self, client: TcpStream) -> Option<()> {
        let target = *self.target.lock().unwrap();
        let server = TcpStream::connect(target?).ok()?;
        let number = self.last_number.fetch_add(1, Ordering::SeqCst);
        let ends = [client.try_clone().ok()?, server.try_clone().ok()?];
        self.open.lock().unwrap().insert(number, ends);
        // Looked at only now: who cuts looks for open connections after saying so.
        if !self.is_cut.load(Ordering::SeqCst) {
            let (mut from, mut to) = (client.try_clone().ok()?, server.try_clone().ok()?);
            std::thread::spawn(move || std::io::copy(&mut from, &mut to).and_then(|_| to.shutdown(Shutdown::Write)));
            self.carry_back(server, client);
        }
        let ends = self.open.lock().unwrap().remove(&number);
        ends.iter().flatten().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        Some(())
    }

    fn carry_back(&self, mut server: TcpStream, mut client: TcpStream) {
        let mut buffer = [0; 16 * 1024];
        let mut is_first = true;
        while let Ok(length @ 1..) = server.read(&mut buffer) {
            let one_less = |left: usize| left.checked_sub(1);
            let is_lost = is_first && self.to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok();
            if is_lost || client.write_all(&buffer[..length]).is_err() {
                return;
            }
            is_first = false;
        }
    }
}
