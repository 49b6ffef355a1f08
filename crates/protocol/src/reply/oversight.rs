//! Replies to those who look after the daemon: histories, rules, providers.

use serde::{Deserialize, Serialize};

use super::ProviderStatus;
use crate::id::{AccountName, ProviderName};
use crate::time::UnixSeconds;

/// What happened to a session, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// The entries.
    pub entries: Vec<HistoryEntry>,
    /// The cursor of the next page, if there is one.
    pub next: Option<u64>,
}

/// Something that happened to a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When.
    pub at: UnixSeconds,
    /// Its name in the audit trail, such as `refresh_done`.
    pub event: String,
    /// The peer that did it, if one did.
    pub peer: Option<String>,
    /// The rest, in words.
    pub detail: String,
}

/// A peer as the daemon sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Effective user.
    pub uid: u32,
    /// Effective and supplementary groups.
    pub gids: Vec<u32>,
    /// Process.
    pub pid: i32,
    /// The system service it runs in, if it does and the kernel can tell for sure.
    pub unit: Option<String>,
    /// To whom sessions belong that it opens.
    pub owner: String,
    /// The rules that are about it.
    pub rules: Vec<RuleView>,
}

/// A rule of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleView {
    /// Where it stands, such as `corp.toml:12`.
    pub source: String,
    /// Whom it is about, such as `unit:shop.service`.
    pub who: String,
    /// What it allows.
    pub may: Vec<String>,
    /// At which provider; any, if none.
    pub provider: Option<ProviderName>,
    /// On whose sessions: `own`, `user` or `all`; `account NAME` if it is about a service account, or `account *` about all.
    pub sessions: String,
}

/// Whether something is allowed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Whether it is.
    pub allowed: bool,
    /// The judgement in one sentence.
    pub verdict: String,
    /// Every rule, and how it came out.
    pub rules: Vec<RuleOutcome>,
    /// What an administrator could add to the configuration, if it is not allowed.
    pub advice: Option<String>,
}

/// How one rule came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleOutcome {
    /// The rule.
    pub rule: RuleView,
    /// Whether it allows what was asked.
    pub allows: bool,
    /// Why not, or why.
    pub why: String,
}

/// The providers that a peer may know of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvidersReply {
    /// By name.
    pub providers: Vec<ProviderView>,
}

/// A provider as it is configured, and how it is doing. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderView {
    /// How it is doing.
    pub status: ProviderStatus,
    /// `oidc`, `oauth2` or `custom`.
    pub kind: String,
    /// The issuer, or what stands for it.
    pub issuer: String,
    /// Our registration there.
    pub client_id: String,
    /// How the client secret is presented: `basic`, `post` or `none`.
    pub client_authentication: String,
    /// Where browsers may be sent back to.
    pub redirect_uris: Vec<String>,
    /// What is asked for at login.
    pub scopes: Vec<String>,
    /// Seconds after which a session needs a new login.
    pub max_age_seconds: u64,
    /// The service accounts at it.
    pub accounts: Vec<AccountName>,
}

/// What came out of the test of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderReport {
    /// Which.
    pub provider: ProviderName,
    /// Whether every step went well.
    pub works: bool,
    /// The steps, in their order; none follows one that failed if it would need it.
    pub steps: Vec<ProviderStep>,
}

/// One step of the test of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderStep {
    /// What was tried, such as `discovery`.
    pub name: String,
    /// How it went.
    pub outcome: StepOutcome,
    /// What was found, or what is wrong and what to do.
    pub detail: String,
    /// How long it took.
    pub milliseconds: u32,
}

/// How a step of a test went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepOutcome {
    /// Well.
    Passed,
    /// Well enough: something that is good to have is missing.
    Warned,
    /// Not.
    Failed,
}
