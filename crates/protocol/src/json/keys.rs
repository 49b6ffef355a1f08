//! The keys of the store.

use serde::Serialize;

use crate::reply;

/// View of a [`reply::KeysReply`].
#[derive(Serialize)]
pub struct Keys<'a> {
    identity_source: &'a str,
    recovery_recipients: &'a [String],
    epoch: u32,
    old_epochs: &'a [u32],
    rotation: Option<KeysRotation<'a>>,
}

impl<'a> From<&'a reply::KeysReply> for Keys<'a> {
    fn from(keys: &'a reply::KeysReply) -> Self {
        Self {
            identity_source: &keys.identity_source,
            recovery_recipients: &keys.recovery_recipients,
            epoch: keys.epoch,
            old_epochs: &keys.old_epochs,
            rotation: keys.rotation.as_ref().map(KeysRotation::from),
        }
    }
}

/// View of a [`reply::KeysRotation`].
#[derive(Serialize)]
pub struct KeysRotation<'a> {
    resealed: u64,
    seen: u64,
    table: Option<&'a str>,
    damaged: u64,
    trouble: Option<&'a str>,
}

impl<'a> From<&'a reply::KeysRotation> for KeysRotation<'a> {
    fn from(rotation: &'a reply::KeysRotation) -> Self {
        Self {
            resealed: rotation.resealed,
            seen: rotation.seen,
            table: rotation.table.as_deref(),
            damaged: rotation.damaged,
            trouble: rotation.trouble.as_deref(),
        }
    }
}

/// View of the reply to a request for a new epoch.
#[derive(Serialize)]
pub struct KeysRotating {
    epoch: u32,
}

impl From<u32> for KeysRotating {
    fn from(epoch: u32) -> Self {
        Self { epoch }
    }
}

/// View of a [`reply::KeysRecovered`].
#[derive(Serialize)]
pub struct KeysRecovered<'a> {
    identity_file: Option<&'a str>,
    advice: &'a str,
}

impl<'a> From<&'a reply::KeysRecovered> for KeysRecovered<'a> {
    fn from(recovered: &'a reply::KeysRecovered) -> Self {
        Self { identity_file: recovered.identity_file.as_deref(), advice: &recovered.advice }
    }
}
