//! Reload: everything is checked first, then swapped as a whole. What is wrong changes nothing but the status.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError};

use tokenkeeper_protocol::ProviderName;

use super::running::Running;
use super::{StartError, counts, notify, start};
use crate::audit::What;
use crate::command::InForce;
use crate::config::{DaemonSettings, ProviderSettings, load};
use crate::keeper::Providers;
use crate::provider::{Provider, SetupError};
use crate::schedule::Cron;

/// The providers as the configuration has them.
type Configured = BTreeMap<ProviderName, Arc<ProviderSettings>>;

/// Reads the configuration again and puts it in force, or says everywhere why not.
pub(super) async fn reload(running: &mut Running) {
    notify::reloading();
    let done = try_reload(running).await;
    let refused = done.err().map(|error| (error.words(), error.first()));
    let event = match &refused {
        None => What::ConfigReloaded,
        Some((_, first)) => What::ConfigRefused { why: first.clone() },
    };
    let mut status = counts::status_line(&running.service).await;
    match &refused {
        None => tracing::info!("the new configuration is in force"),
        Some((why, _)) => {
            tracing::error!("the new configuration is refused, and the old one stays in force:\n{why}");
            status.push_str("; the new configuration is REFUSED");
        }
    }
    let refused = refused.map(|(_, first)| first);
    *running.service.vitals.config_refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
    running.service.record(event).await;
    notify::ready(&status);
}

async fn try_reload(running: &mut Running) -> Result<(), StartError> {
    let loaded = load(&running.source, &running.environment)?;
    let keeper = &running.service.keeper;
    let providers = providers(&loaded.settings.providers, Some(&keeper.providers()))?;
    readdress(running, &loaded.settings.daemon).await?;
    if loaded.settings.schedule != running.settings.schedule {
        let cron =
            Cron::start(&loaded.settings.schedule, keeper, &running.service.rotation, &running.tasks, &running.stop)
                .await?;
        if let Some(old) = running.cron.replace(cron) {
            old.stop().await;
        }
    }
    // From here on nothing can fail.
    start::report(&loaded);
    running.service.rotation.set_rate(loaded.settings.schedule.reseal_rate);
    if !is_in_force(&loaded.settings.daemon, &running.settings.daemon) {
        tracing::warn!("what changed in [daemon] takes effect at the next start");
    }
    keeper.replace_providers(providers, loaded.settings.schedule.retention);
    keeper.keep_accounts(loaded.settings.accounts.clone()).await;
    running.relay.retarget(loaded.settings.audit.clone());
    let (rules, loaded_at) = (loaded.settings.rules.clone(), keeper.clock().now());
    let backup_recipients = loaded.settings.daemon.backup_recipients.clone();
    running.service.in_force.store(Arc::new(InForce { rules, backup_recipients, loaded_at }));
    running.settings = loaded.settings;
    Ok(())
}

/// Who can open the keyring is changed at once: somebody who must not is told out, and somebody who shall is let in.
async fn readdress(running: &Running, new: &DaemonSettings) -> Result<(), StartError> {
    if new.recovery_recipients == running.settings.daemon.recovery_recipients {
        return Ok(());
    }
    let (rotation, recovery) = (Arc::clone(&running.service.rotation), new.recovery_recipients.clone());
    let done = tokio::task::spawn_blocking(move || rotation.set_recovery(&recovery)).await;
    Ok(done.map_err(|_| StartError::Process(io::ErrorKind::Interrupted.into()))??)
}

/// Whether nothing in `[daemon]` waits for the next start.
fn is_in_force(new: &DaemonSettings, old: &DaemonSettings) -> bool {
    let at_once = DaemonSettings {
        recovery_recipients: new.recovery_recipients.clone(),
        backup_recipients: new.backup_recipients.clone(),
        ..old.clone()
    };
    *new == at_once
}

/// The providers of a configuration. One that did not change is kept, with what it has learned, and with how long it asked to be
/// left alone.
pub(super) fn providers(configured: &Configured, old: Option<&Providers>) -> Result<Providers, SetupError> {
    let provider = |settings: &Arc<_>| {
        let known = old.and_then(|old| old.values().find(|provider| provider.is_made_from(settings)));
        if let Some(known) = known {
            return Ok(Arc::clone(known));
        }
        let settings = Arc::clone(settings);
        Ok(Arc::new(match old.and_then(|old| old.get(&settings.name)) {
            Some(old) => Provider::in_place_of(old, settings)?,
            None => Provider::new(settings)?,
        }))
    };
    configured.iter().map(|(name, settings)| Ok((name.clone(), provider(settings)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Mode, Source};

    const ODD: &str = "[provider.odd]\nkind = 'custom'\nclient_id = 'shop'\nissuer = 'https://odd.example'\n\
        ca_file = 'ca.pem'\nkeys_file = 'keys.json'\ncode_link = 'https://odd.example/start?s={state}'\n\
        callback = { code = 'code', state = 's' }\n[provider.odd.exchange]\nurl = 'https://odd.example/exchange'\n\
        send = { code = '{code}' }\nanswer = { access_token = '/access', id_token = '/id' }\n";
    const AUTHORITY: &str = include_str!("../provider/scripted/keys/authority.pem");

    #[test]
    fn a_provider_keeps_what_it_learned_unless_it_or_a_file_of_it_changed() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        let configured = || {
            let file = Some(directory.path().join("tokenkeeper.toml"));
            let environment =
                Environment { xdg_runtime_dir: Some("/run".into()), home: Some("/".into()), ..Environment::default() };
            load(&Source { mode: Mode::User, file, only_checked: false }, &environment).unwrap().settings.providers
        };
        for (name, text) in [("tokenkeeper.toml", ODD), ("ca.pem", AUTHORITY), ("keys.json", "{\"keys\":[]}")] {
            write(name, text);
        }
        let (authorities, other) = ([AUTHORITY, AUTHORITY].concat(), ODD.replace("shop", "other"));
        for (name, text) in
            [("ca.pem", authorities.as_str()), ("keys.json", "{ \"keys\": [] }"), ("tokenkeeper.toml", other.as_str())]
        {
            let old = providers(&configured(), None).unwrap();
            let is_kept = || {
                let new = providers(&configured(), Some(&old)).unwrap();
                new.iter().all(|(name, provider)| Arc::ptr_eq(provider, &old[name]))
            };
            assert!(is_kept());
            write(name, text);
            assert!(!is_kept(), "{name}");
        }
    }
}
