//! How the daemon is doing.

use serde::Serialize;

use super::rfc3339;
use crate::reply::{self, Health};

/// View of a [`reply::StatusReply`].
#[derive(Serialize)]
pub struct Status<'a> {
    version: &'a str,
    health: &'static str,
    complaints: &'a [String],
    started_at: String,
    providers: Vec<ProviderStatus<'a>>,
    sessions: SessionCounts,
    ending_soon: u64,
    more_ending_soon: bool,
    next_refresh_at: Option<String>,
    last_refused: Option<Refused<'a>>,
    store_bytes: u64,
    last_backup_at: Option<String>,
    disk_free_percent: u8,
    identity_source: &'a str,
    epoch: u32,
    audit_waiting: u64,
    config_loaded_at: String,
    config_refused: Option<&'a str>,
}

impl<'a> From<&'a reply::StatusReply> for Status<'a> {
    fn from(status: &'a reply::StatusReply) -> Self {
        let health = match status.health {
            Health::Ok => "ok",
            Health::Degraded => "degraded",
            Health::NotServing => "not_serving",
        };
        let counts = status.sessions;
        Self {
            version: &status.version,
            health,
            complaints: &status.complaints,
            started_at: rfc3339(status.started_at),
            providers: status.providers.iter().map(ProviderStatus::from).collect(),
            sessions: SessionCounts::from(&counts),
            ending_soon: status.ending_soon,
            more_ending_soon: status.more_ending_soon,
            next_refresh_at: status.next_refresh_at.map(rfc3339),
            last_refused: status.last_refused.as_ref().map(Refused::from),
            store_bytes: status.store_bytes,
            last_backup_at: status.last_backup_at.map(rfc3339),
            disk_free_percent: status.disk_free_percent,
            identity_source: &status.identity_source,
            epoch: status.epoch,
            audit_waiting: status.audit_waiting,
            config_loaded_at: rfc3339(status.config_loaded_at),
            config_refused: status.config_refused.as_deref(),
        }
    }
}

/// View of a [`reply::ProviderStatus`].
#[derive(Serialize)]
pub struct ProviderStatus<'a> {
    provider: &'a str,
    last_success_at: Option<String>,
    failed_at: Option<String>,
    failure: Option<&'a str>,
}

impl<'a> From<&'a reply::ProviderStatus> for ProviderStatus<'a> {
    fn from(status: &'a reply::ProviderStatus) -> Self {
        Self {
            provider: status.provider.as_str(),
            last_success_at: status.last_success_at.map(rfc3339),
            failed_at: status.failure.as_ref().map(|(at, _)| rfc3339(*at)),
            failure: status.failure.as_ref().map(|(_, what)| what.as_str()),
        }
    }
}

/// View of a [`reply::Refused`].
#[derive(Serialize)]
pub struct Refused<'a> {
    at: String,
    session: &'a str,
    provider: &'a str,
    why: &'a str,
}

impl<'a> From<&'a reply::Refused> for Refused<'a> {
    fn from(refused: &'a reply::Refused) -> Self {
        Self {
            at: rfc3339(refused.at),
            session: refused.session.as_str(),
            provider: refused.provider.as_str(),
            why: &refused.why,
        }
    }
}

/// View of a [`reply::SessionCounts`].
#[derive(Serialize)]
pub struct SessionCounts {
    active: u64,
    need_login: u64,
    ended: u64,
}

impl From<&reply::SessionCounts> for SessionCounts {
    fn from(counts: &reply::SessionCounts) -> Self {
        Self { active: counts.active, need_login: counts.need_login, ended: counts.ended }
    }
}
