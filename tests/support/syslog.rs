//! A syslog server: collects the records that the daemon sends, whatever way they come.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use super::deadline::Deadline;

/// A running receiver.
pub(crate) struct SyslogReceiver {
    /// How the configuration names it: the value of `[audit] target`.
    pub(crate) target: String,
    records: Arc<Records>,
}

#[derive(Default)]
struct Records {
    all: Mutex<Vec<String>>,
    changed: Condvar,
}

impl Records {
    fn push(&self, bytes: &[u8]) {
        self.all.lock().unwrap().push(String::from_utf8_lossy(bytes).into_owned());
        self.changed.notify_all();
    }
}

impl SyslogReceiver {
    /// Like `/dev/log`: the daemon writes the BSD form (RFC 3164) to it.
    pub(crate) fn bsd(path: &Path) -> Self {
        Self::datagrams(path, path.display().to_string())
    }

    /// A datagram socket for the form of RFC 5424.
    pub(crate) fn unix(path: &Path) -> Self {
        Self::datagrams(path, format!("unix:{}", path.display()))
    }

    fn datagrams(path: &Path, target: String) -> Self {
        let socket = UnixDatagram::bind(path).unwrap_or_else(|error| panic!("cannot bind {}: {error}", path.display()));
        let this = Self { target, records: Arc::default() };
        let records = Arc::clone(&this.records);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while let Ok(length) = socket.recv(&mut buffer) {
                records.push(&buffer[..length]);
            }
        });
        this
    }

    /// RFC 5424 over UDP (RFC 5426).
    pub(crate) fn udp() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = socket.local_addr().expect("a bound socket has an address");
        let this = Self { target: format!("udp:{address}"), records: Arc::default() };
        let records = Arc::clone(&this.records);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while let Ok(length) = socket.recv(&mut buffer) {
                records.push(&buffer[..length]);
            }
        });
        this
    }

    /// RFC 5424 over TCP with octet counting (RFC 6587 section 3.4.1).
    pub(crate) fn tcp() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let this = Self { target: format!("tcp:{address}"), records: Arc::default() };
        let records = Arc::clone(&this.records);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let records = Arc::clone(&records);
                std::thread::spawn(move || read_counted(stream, &records));
            }
        });
        this
    }

    /// Every record so far.
    pub(crate) fn records(&self) -> Vec<String> {
        self.records.all.lock().unwrap().clone()
    }

    /// Records that hold all of `parts`.
    pub(crate) fn matching(&self, parts: &[&str]) -> Vec<String> {
        self.records().into_iter().filter(|record| holds(record, parts)).collect()
    }

    /// How many records there are: pass it to [`Self::wait_for_after`].
    pub(crate) fn mark(&self) -> usize {
        self.records.all.lock().unwrap().len()
    }

    /// Waits for a record that holds all of `parts`.
    pub(crate) fn wait_for(&self, parts: &[&str]) -> String {
        self.wait_for_after(0, parts)
    }

    /// Waits for a record behind `mark` that holds all of `parts`.
    pub(crate) fn wait_for_after(&self, mark: usize, parts: &[&str]) -> String {
        let deadline = Deadline::after(std::time::Duration::from_secs(90));
        let mut all = self.records.all.lock().unwrap();
        loop {
            if let Some(found) = all.iter().skip(mark).find(|record| holds(record, parts)) {
                return found.clone();
            }
            let left =
                deadline.left().unwrap_or_else(|| panic!("no audit record with {parts:?} came; there are {all:#?}"));
            all = self.records.changed.wait_timeout(all, left).unwrap().0;
        }
    }
}

fn holds(record: &str, parts: &[&str]) -> bool {
    parts.iter().all(|part| record.contains(part))
}

fn read_counted(stream: TcpStream, records: &Records) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = Vec::new();
        let end = reader.read_until(b' ', &mut length).unwrap_or(0);
        let Some(length) = std::str::from_utf8(&length[..end.saturating_sub(1)]).ok().and_then(|it| it.parse().ok())
        else {
            if end > 0 {
                records.push(&[b"NOT OCTET COUNTED: ", length.as_slice()].concat());
            }
            return;
        };
        let mut record = vec![0; length];
        if reader.read_exact(&mut record).is_err() {
            return;
        }
        records.push(&record);
    }
}
