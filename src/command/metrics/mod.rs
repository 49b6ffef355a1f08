//! Everything that is counted and measured, for monitoring. Names and labels are a contract: `docs/metrics.md`.
//!
//! Invariant: no label holds a user, a session, a peer, or anything else that others choose.

mod exposition;
#[cfg(test)]
mod tests;

use tokenkeeper_protocol::reply::{Health, StatusReply};
use tokenkeeper_protocol::{Code, Problem, ProviderName};

use self::exposition::Exposition;
use super::Service;
use super::meter::{Kind, Meter};
use super::status::Disk;
use crate::audit::counts::{ByProvider, Counts};
use crate::domain::{Loss, Peer};
use crate::keeper::Providers;
use crate::policy::{Action, Target};

/// Providers that are told of one by one: so many fit into a frame, however long their names are.
const PROVIDERS: usize = 16;

impl Service {
    pub(super) async fn metrics(&self, peer: &Peer) -> Result<String, Problem> {
        let _permit = self.permit(peer, Action::Status, Target::Daemon, "the daemon").await?;
        self.metrics_text().await
    }

    /// The metrics, for whom the listener has let in: there is no peer to judge. They name providers, and nobody else.
    pub async fn metrics_text(&self) -> Result<String, Problem> {
        let status = self.vital_signs().await?;
        let vault = self.keeper.vault();
        let disk_free = Disk::under(&self.vitals.state_dir).free_thousandths();
        let mut text = Exposition::default();
        daemon(&mut text, &status);
        requests(&mut text, &self.meter);
        events(&mut text, &status, &vault.counts());
        providers(&mut text, &status);
        breakers(&mut text, &self.keeper.providers());
        let help = "How long the answers to refreshes were known before they were on disk.";
        text.histogram("refresh_unsaved_seconds", help, &self.keeper.window().read());
        let help = "Times that the disk was waited for; changes that come together share one.";
        text.counter("store_syncs", help).value(vault.syncs());
        let mut gauge = |name, help, value: u64| text.gauge(name, help).value(value);
        gauge("audit_events_waiting", "Audit events that syslog has not taken yet.", status.audit_waiting);
        let rolled_back = u64::from(vault.rollback().is_some());
        gauge(
            "store_rolled_back",
            "1 if an old copy of the store was put back and nobody has accepted it.",
            rolled_back,
        );
        gauge("store_bytes", "Disk space that the store takes.", status.store_bytes);
        gauge("cache_sessions", "Sessions whose token is in memory.", self.keeper.cached());
        gauge("connections_open", "Connections of peers that are open.", self.meter.connections());
        let disk_free = format!("{}.{:03}", disk_free / 1000, disk_free % 1000);
        text.gauge("disk_free_ratio", "Share of the file system of the store that is free, 0 to 1.").value(disk_free);
        Ok(text.end())
    }
}

fn daemon(text: &mut Exposition, status: &StatusReply) {
    text.gauge("build_info", "Always 1; the version is in the label.").sample(&[("version", &status.version)], 1);
    text.gauge("start_time_seconds", "When the daemon started, in Unix time.").value(status.started_at.0);
    let ready = u8::from(status.health != Health::NotServing);
    text.gauge("ready", "1 if the store takes writes, so that everything can be served.").value(ready);
    let mut health = text.gauge("health", "1 for the state that the status tells, 0 for the others.");
    for (name, state) in [("ok", Health::Ok), ("degraded", Health::Degraded), ("not_serving", Health::NotServing)] {
        health.sample(&[("state", name)], u8::from(status.health == state));
    }
    let reloaded = u8::from(status.config_refused.is_none());
    text.gauge("config_reload_ok", "0 if the last reload was refused, so that an older configuration is in force.")
        .value(reloaded);
    text.gauge("config_loaded_timestamp_seconds", "When the configuration in force was read, in Unix time.")
        .value(status.config_loaded_at.0);
    let mut sessions = text.gauge("sessions", "Sessions in the store, by state.");
    let counts = status.sessions;
    for (state, count) in [("active", counts.active), ("needs_login", counts.need_login), ("ended", counts.ended)] {
        sessions.sample(&[("state", state)], count);
    }
}

fn requests(text: &mut Exposition, meter: &Meter) {
    let mut requests = text.counter("requests", "Requests that were answered, by kind and by the code of the answer.");
    for kind in Kind::ALL {
        requests.sample(&[("request", kind.name()), ("code", "ok")], meter.answers(*kind, None));
        for code in Code::ALL {
            let count = meter.answers(*kind, Some(*code));
            if count > 0 {
                requests.sample(&[("request", kind.name()), ("code", code.name())], count);
            }
        }
    }
    let handed_out = meter.answers(Kind::Token, None) + meter.answers(Kind::TokenFor, None);
    text.counter("tokens_handed_out", "Access tokens that were handed out.").value(handed_out);
}

fn events(text: &mut Exposition, status: &StatusReply, counts: &Counts) {
    let names = || status.providers.iter().take(PROVIDERS).map(|it| &it.provider);
    let count = |of: &ByProvider, name: &ProviderName, outcome| of.get(&(name.clone(), outcome)).copied().unwrap_or(0);
    let mut refreshes = text.counter("refreshes", "Refreshes whose outcome is on disk, by provider and outcome.");
    for (name, outcome) in names().flat_map(|name| ["done", "failed", "needs_login"].map(|outcome| (name, outcome))) {
        let labels = [("provider", name.as_str()), ("outcome", outcome)];
        refreshes.sample(&labels, count(&counts.refreshes, name, outcome));
    }
    let mut lost = text.counter("sessions_lost", "Sessions whose user must log in again, by provider and reason.");
    for (name, reason) in names().flat_map(|name| Loss::ALL.map(|loss| (name, loss.name()))) {
        lost.sample(&[("provider", name.as_str()), ("reason", reason)], count(&counts.lost, name, reason));
    }
    let mut logins = text.counter("logins", "Logins that came back from the provider, by provider and outcome.");
    for (name, outcome) in names().flat_map(|name| ["completed", "failed"].map(|outcome| (name, outcome))) {
        let labels = [("provider", name.as_str()), ("outcome", outcome)];
        logins.sample(&labels, count(&counts.logins, name, outcome));
    }
    let mut logouts = text.counter("logouts", "Sessions that somebody ended, by provider.");
    for name in names() {
        logouts.sample(&[("provider", name.as_str())], count(&counts.logouts, name, "ended"));
    }
    let mut denials =
        text.counter("denials", "Denials in the audit trail, by action; repeated ones come within a minute.");
    for action in Action::ALL {
        let count = counts.denials.get(action.name()).copied().unwrap_or(0);
        denials.sample(&[("action", action.name())], count);
    }
}

fn providers(text: &mut Exposition, status: &StatusReply) {
    let providers = || status.providers.iter().take(PROVIDERS);
    let configured = status.providers.len();
    text.gauge("providers", "Providers of the configuration; those beyond 16 are not told of by name.")
        .value(configured);
    let mut up = text.gauge("provider_up", "1 if a provider answered well the last time, 0 if not. None before that.");
    for it in providers().filter(|it| it.failure.is_some() || it.last_success_at.is_some()) {
        up.sample(&[("provider", it.provider.as_str())], u8::from(it.failure.is_none()));
    }
    let name = "provider_last_success_timestamp_seconds";
    let mut last = text.gauge(name, "When a provider last answered well, in Unix time.");
    for (it, at) in providers().filter_map(|it| Some((it, it.last_success_at?))) {
        last.sample(&[("provider", it.provider.as_str())], at.0);
    }
}

fn breakers(text: &mut Exposition, providers: &Providers) {
    let help = "1 while a provider that failed again and again is left alone but for single tries, 0 otherwise.";
    let mut open = text.gauge("provider_breaker_open", help);
    for (name, provider) in providers.iter().take(PROVIDERS) {
        open.sample(&[("provider", name.as_str())], u8::from(provider.gate().is_broken()));
    }
}
