//! An OpenID provider that does exactly what a test says, and remembers everything it was asked.
//!
//! It is honest until it is told to [`Lie`], and reliable until a [`Fault`] is queued. It listens on loopback in threads of the
//! test, logs in whoever the form of its login page names, and grants whatever is asked for.

mod answer;
mod endpoints;
mod id_token;
mod keys;
mod oracle;
mod state;
mod tls;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::deadline::Deadline;
use super::http::{self, Received};
use state::{DeviceUser, Shared, State};

pub(crate) use oracle::{Rotation, Step, What};
pub(crate) use state::{Fault, Lie};
pub(crate) use tls::{Tls, TlsServer};

/// A running provider.
pub(crate) struct ScriptedProvider {
    /// Its issuer identifier.
    pub(crate) issuer: String,
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl ScriptedProvider {
    /// One whose access tokens live for an hour, whose refresh tokens stay, and who knows revocation.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let issuer = format!("http://{address}");
        let shared = Arc::new(Shared::new(&issuer));
        serve(listener, Arc::clone(&shared));
        Self { issuer, address, shared }
    }

    /// How long its access tokens live from now on.
    pub(crate) fn access_life(&self, seconds: u64) -> &Self {
        self.state().access_life = seconds;
        self
    }

    /// Whether a refresh gives a new refresh token and forgets the old one.
    pub(crate) fn rotate(&self, rotate: bool) -> &Self {
        self.rotation(if rotate { Rotation::Strict } else { Rotation::Silent })
    }

    /// How refresh tokens are treated from now on.
    pub(crate) fn rotation(&self, rotation: Rotation) -> &Self {
        self.state().rotation = rotation;
        self
    }

    /// From now on a refresh kills the access tokens that came before it.
    pub(crate) fn kill_old_access_tokens(&self) -> &Self {
        self.state().kills_access = true;
        self
    }

    /// The client was started anew.
    pub(crate) fn client_restarted(&self) {
        self.state().oracle.restarted();
    }

    /// The client handed an access token out; returns its place in the order in which they were granted.
    pub(crate) fn handed_out(&self, access_token: &str) -> Option<u64> {
        self.state().oracle.handed_out(access_token)
    }

    /// Takes a refresh token that the client has of `user` from long ago.
    pub(crate) fn gave(&self, refresh_token: &str, user: &str) {
        let mut state = self.state();
        state.refresh_tokens.insert(refresh_token.to_owned(), (user.to_owned(), "openid".to_owned()));
        state.oracle.issue(refresh_token, user);
    }

    /// The client has the newest refresh token of `user`: an older one must not come any more.
    pub(crate) fn has_newest(&self, user: &str) {
        self.state().oracle.has_newest(user);
    }

    /// The client was killed before it kept a newer refresh token of `user` than this number.
    pub(crate) fn goes_back(&self, user: &str, number: u64) {
        self.state().oracle.goes_back(user, number);
    }

    /// What happened to refresh tokens, from step `from` on.
    pub(crate) fn steps(&self, from: usize) -> Vec<Step> {
        self.state().oracle.steps()[from..].to_vec()
    }

    /// How many faults have come to pass.
    pub(crate) fn faulted(&self) -> usize {
        self.state().faulted
    }

    /// What the client did with refresh tokens that it must never do.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.state().oracle.violations()
    }

    /// Offers logins with a code that is good for so many seconds. It wants to be asked once a second.
    pub(crate) fn with_codes(&self, life: u64) -> &Self {
        self.state().device_life = Some(life);
        self
    }

    /// `user` types every code that waits for somebody, and logs in.
    pub(crate) fn type_codes(&self, user: &str) {
        self.answer_codes(&DeviceUser::LoggedIn(user.to_owned()));
    }

    /// Somebody types every code that waits, and says no.
    pub(crate) fn refuse_codes(&self) {
        self.answer_codes(&DeviceUser::Refused);
    }

    fn answer_codes(&self, answer: &DeviceUser) {
        for (_, user) in self.state().device_codes.values_mut() {
            if matches!(user, DeviceUser::Nothing) {
                *user = answer.clone();
            }
        }
    }

    /// One more claim in every ID token.
    pub(crate) fn claim(&self, name: &str, value: &str) -> &Self {
        self.state().claims.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Tells a lie from now on.
    pub(crate) fn lie(&self, lie: Lie) -> &Self {
        self.state().lie = Some(lie);
        self
    }

    /// Is honest again.
    pub(crate) fn tell_the_truth(&self) -> &Self {
        self.state().lie = None;
        self
    }

    /// What happens to the next request for `on`: a grant type at the token endpoint, or the path of another endpoint.
    pub(crate) fn fault(&self, on: &str, fault: Fault) -> &Self {
        self.state().faults.entry(on.to_owned()).or_default().push_back(fault);
        self
    }

    /// What was to go wrong goes right.
    pub(crate) fn forget_faults(&self) {
        self.state().faults.clear();
    }

    /// Lets requests go that are held, and those that would be.
    pub(crate) fn release(&self) {
        let mut state = self.state();
        state.released = true;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Returns when everything that came so far was read and answered; nothing is held any more. A client that is dead cannot take
    /// back what it had sent: only now it is known what it did.
    pub(crate) fn hear_out(&self) {
        self.release();
        // Connections are accepted in their order: before this one, all that came before it.
        http::get(&self.issuer).expect("the scripted provider answers");
        let deadline = Deadline::patient();
        let mut state = self.state();
        while state.open > 0 {
            let left = deadline.left().unwrap_or_else(|| panic!("{} requests are not answered", state.open));
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Closes the door: connections are refused until [`Self::come_back`].
    pub(crate) fn go_down(&self) {
        self.state().down = true;
        // Wakes the listener, which goes away when it sees that.
        let _ = TcpStream::connect(self.address);
        let deadline = Deadline::patient();
        while TcpStream::connect(self.address).is_ok() {
            assert!(deadline.left().is_some(), "the scripted provider does not go down");
        }
    }

    /// Listens again at the same address.
    pub(crate) fn come_back(&self) {
        self.state().down = false;
        let listener = TcpListener::bind(self.address).expect("the port is still ours");
        serve(listener, Arc::clone(&self.shared));
    }

    /// The user takes back what they allowed: every token of theirs is dead.
    pub(crate) fn revoke_everything(&self) {
        let mut state = self.state();
        state.access_tokens.clear();
        state.refresh_tokens.clear();
    }

    /// How often `on` was asked for, faults included.
    pub(crate) fn count(&self, on: &str) -> usize {
        self.state().requests.iter().filter(|(what, _)| what == on).count()
    }

    /// The requests for `on`, in order.
    pub(crate) fn requests(&self, on: &str) -> Vec<Received> {
        self.state().requests.iter().filter(|(what, _)| what == on).map(|(_, request)| request.clone()).collect()
    }

    /// Waits until `on` was asked for `times` times.
    pub(crate) fn wait_for(&self, on: &str, times: usize) {
        let deadline = Deadline::after(Duration::from_mins(1));
        let mut state = self.state();
        while state.requests.iter().filter(|(what, _)| what == on).count() < times {
            let seen: Vec<_> = state.requests.iter().map(|(what, _)| what.clone()).collect();
            let left =
                deadline.left().unwrap_or_else(|| panic!("{on} was not asked for {times} times, only {seen:?} were"));
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Whether this access token would be accepted.
    pub(crate) fn accepts(&self, access_token: &str) -> bool {
        self.state().access_tokens.contains_key(access_token)
    }

    /// Every secret that went through here: codes, verifiers, access, refresh and ID tokens.
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.state().secrets.clone()
    }

    /// The tokens that were given last, of every user.
    pub(crate) fn newest(&self) -> Vec<String> {
        self.state().newest.values().flatten().filter(|token| !token.is_empty()).cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

impl Drop for ScriptedProvider {
    fn drop(&mut self) {
        if let Ok(mut state) = self.shared.state.lock() {
            (state.down, state.released) = (true, true);
        }
        self.shared.changed.notify_all();
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(listener: TcpListener, shared: Arc<Shared>) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            {
                let mut state = shared.state.lock().unwrap();
                if state.down {
                    return;
                }
                state.open += 1;
            }
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                // A client that hangs up is its own concern.
                if let Ok(Some(request)) = http::receive(&stream) {
                    let _ = answer::answer(&stream, &request, &shared);
                }
                shared.state.lock().unwrap().open -= 1;
                shared.changed.notify_all();
            });
        }
    });
}
