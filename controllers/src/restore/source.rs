//! Which backup a restore means, and whether it can be restored onto the system: all of it is found out before the system is asked for anything.

use std::collections::HashMap;

use archive::catalogue::State;
use archive::digest::Sha256;
use archive::element::{BackupElement, Selection};
use archive::layout::{BackupId, Folder, Item};
use archive::manifest::{Element, Manifest, Server};
use archive::verification::Soundness;
use crds::Restore;
use model::ids::SystemKey;
use object_client::{ObjectClient, StoreError};
use protocol::message::{Facts, ServerFacts};

use crate::action::reach::{Reach, Stop};
use crate::action::report::Because;

/// A backup that can be restored.
pub struct Source {
    /// Its manifest.
    pub manifest: Manifest,
    /// What is restored of it: the element in the store, and its name on the system.
    pub elements: Vec<(Element, BackupElement)>,
}

/// The folder of the backup.
///
/// # Errors
/// There is none that fits.
pub async fn find(restore: &Restore, named: Option<&Folder>, reach: &Reach) -> Result<Folder, Stop> {
    let source = &restore.spec.source;
    let own = &reach.key;
    if let Some(name) = &source.backup {
        let folder = named
            .ok_or_else(|| Stop::failed("BackupNotFound", format!("the Backup {name} is gone, or does not say where its backup is")))?;
        if folder.system.customer != own.customer {
            let message = format!("the Backup {name} is of another customer; a backup is restored within its customer only");
            return Err(Stop::failed("OtherCustomer", message));
        }
        return Ok(folder.clone());
    }
    let system = match &source.system_id {
        None => own.clone(),
        Some(id) => {
            let system = id.parse().map_err(|error: model::ids::ParseIdError| Stop::failed("InvalidSource", error.to_string()))?;
            SystemKey { customer: own.customer.clone(), system }
        }
    };
    if let Some(id) = &source.backup_id {
        let id: BackupId =
            id.parse().map_err(|error: archive::layout::ParseBackupIdError| Stop::failed("InvalidSource", error.to_string()))?;
        return Ok(Folder { system, id });
    }
    let before =
        source.latest_before.as_ref().map(|time| time.0).ok_or_else(|| Stop::failed("InvalidSource", "the source names no backup"))?;
    latest_before(restore, &system, before, reach).await
}

/// How often a backup that cannot be read is tried again before the restore says so.
const READ_AGAIN: u32 = 5;

async fn latest_before(restore: &Restore, system: &SystemKey, before: jiff::Timestamp, reach: &Reach) -> Result<Folder, Stop> {
    let prefix = archive::layout::system_prefix(system);
    let namespace = restore.metadata.namespace.as_deref().unwrap_or_default();
    let mut tries = 0;
    loop {
        let catalogue = reach
            .store(|client| {
                let prefix = prefix.clone();
                async move { object_client::catalogue(&client, &prefix).await }
            })
            .await?;
        let catalogue = catalogue.only(|manifest| manifest.ip_office.namespace == namespace);
        let found = catalogue.latest_before(system, before).map(Manifest::folder);
        // Ids carry the time of their order: one that cannot be read and is older than what was found hides nothing.
        let hides = catalogue.of(system).find_map(|entry| match &entry.state {
            State::Unread(why) if found.as_ref().is_none_or(|found| entry.folder.id > found.id) && entry.folder.id.created() <= before => {
                Some(format!(
                    "the backup {} cannot be read now, so the newest is not known: {why}; name one with source.backupId",
                    entry.folder.id
                ))
            }
            _ => None,
        });
        match (hides, found) {
            (None, Some(folder)) => return Ok(folder),
            (None, None) => {
                let message =
                    format!("the store holds no sound backup of system {system} that was finished by {before}; see switchboard catalogue");
                return Err(Stop::failed("NoBackup", message));
            }
            (Some(why), _) if tries >= READ_AGAIN => return Err(Stop::failed("CatalogueUnread", why)),
            (Some(why), _) => reach.ask_store_again(tries, Because::new("CatalogueUnread", why)).await?,
        }
        tries += 1;
    }
}

/// Reads the manifest and sees that what is to be restored is there and fits the system.
///
/// # Errors
/// It is not, or does not.
pub async fn read(restore: &Restore, folder: &Folder, facts: &Facts, reach: &Reach) -> Result<Source, Stop> {
    let (manifest, bytes) = manifest(folder, reach).await?;
    if let Soundness::Damaged(why) = soundness(folder, &bytes, reach).await? {
        return Err(Stop::failed("BackupDamaged", format!("the backup was read again before and is damaged ({why}); restore another one")));
    }
    fits(&manifest, facts, restore.metadata.namespace.as_deref().unwrap_or_default())?;
    let elements = select(restore, &manifest, facts)?;
    for (element, _) in &elements {
        let stored = reach.store(|client| stored(client, element.key.clone())).await?;
        let problem = match stored {
            None => "is missing in the store".to_owned(),
            Some(size) if size != element.size => format!("has {size} bytes in the store instead of {}", element.size),
            Some(_) => continue,
        };
        return Err(Stop::failed("BackupDamaged", format!("element {} {problem}; restore another backup", element.element)));
    }
    Ok(Source { manifest, elements })
}

async fn stored(client: ObjectClient, key: String) -> Result<Option<u64>, StoreError> {
    Ok(client.stored(&key).await?.map(|stored| stored.size))
}

async fn manifest(folder: &Folder, reach: &Reach) -> Result<(Manifest, Vec<u8>), Stop> {
    let key = folder.key(&Item::Manifest);
    let bytes = reach.store(|client| bytes(client, key.clone(), archive::manifest::LARGEST)).await?;
    let Some(bytes) = bytes else {
        let message = format!(
            "the store holds no complete backup {} of system {}; see switchboard catalogue for what there is",
            folder.id, folder.system
        );
        return Err(Stop::failed("NoBackup", message));
    };
    let manifest = Manifest::read(&bytes, folder).map_err(|error| {
        let reason = if error.is_newer() { "NewerManifest" } else { "BackupDamaged" };
        Stop::failed(reason, error.to_string())
    })?;
    Ok((manifest, bytes))
}

async fn bytes(client: ObjectClient, key: String, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
    client.read(&key, limit).await
}

async fn soundness(folder: &Folder, manifest: &[u8], reach: &Reach) -> Result<Soundness, Stop> {
    let key = folder.key(&Item::Verification);
    let record = reach.store(|client| bytes(client, key.clone(), archive::verification::LARGEST)).await?;
    let known = record.map(|record| Soundness::from_record(&record, &folder.id, Sha256::of(manifest)));
    // What only a newer Switchboard understands says nothing here; the system checks every byte before it uses any.
    Ok(known.flatten().unwrap_or(Soundness::Unverified))
}

fn fits(manifest: &Manifest, facts: &Facts, namespace: &str) -> Result<(), Stop> {
    // A namespace is one tenancy: who takes the id of a customer that is gone does not get its backups with it.
    if manifest.ip_office.namespace != namespace {
        let message =
            "the backup was made in another namespace, and backups are restored within theirs only; declare customer and system there";
        return Err(Stop::failed("OtherNamespace", message));
    }
    if manifest.profile != facts.profile {
        let (of, onto) = (manifest.profile.as_str(), facts.profile.as_str());
        return Err(Stop::failed(
            "OtherProfile",
            format!("the backup is of an {of}, and the system is an {onto}; choose a system of the same profile"),
        ));
    }
    if manifest.software_version > facts.version {
        let message = format!(
            "the backup was made by software {}, and the system runs the older {}; upgrade the system first",
            manifest.software_version, facts.version
        );
        return Err(Stop::failed("NewerSoftware", message));
    }
    Ok(())
}

fn select(restore: &Restore, manifest: &Manifest, facts: &Facts) -> Result<Vec<(Element, BackupElement)>, Stop> {
    let selections: Vec<Selection> = restore
        .spec
        .elements
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, archive::element::ParseElementError>>()
        .map_err(|error| Stop::failed("InvalidElements", error.to_string()))?;
    if let Some(absent) = selections.iter().find(|selection| !manifest.elements.iter().any(|element| selection.covers(&element.element))) {
        let held: Vec<String> = manifest.elements.iter().take(20).map(|element| element.element.to_string()).collect();
        return Err(Stop::failed("ElementNotInBackup", format!("the backup holds no {absent}; it holds {}", held.join(", "))));
    }
    let wanted = |element: &&Element| selections.is_empty() || selections.iter().any(|selection| selection.covers(&element.element));
    manifest
        .elements
        .iter()
        .filter(wanted)
        .map(|element| match onto(&element.element, &manifest.servers, &facts.servers) {
            Some(name) => Ok((element.clone(), name)),
            None => Err(Stop::failed(
                "UnknownServer",
                format!("the system has no server that {} could be restored onto; leave it out", element.element),
            )),
        })
        .collect()
}

/// The element as the system names it: its server's name where the system has it, else that of the one server of the same role, so that a backup
/// fits a replacement that was named otherwise.
fn onto(element: &BackupElement, then: &[Server], now: &[ServerFacts]) -> Option<BackupElement> {
    let BackupElement::Configuration(service, server) = element else { return Some(element.clone()) };
    if now.iter().any(|candidate| candidate.name == server.as_str()) {
        return Some(element.clone());
    }
    let role = then.iter().find(|candidate| candidate.name == server.as_str())?.role;
    let mut of_role: HashMap<_, Vec<&ServerFacts>> = HashMap::new();
    for candidate in now {
        of_role.entry(candidate.role).or_default().push(candidate);
    }
    match (then.iter().filter(|server| server.role == role).count(), of_role.get(&role).map(Vec::as_slice)) {
        (1, Some([only])) => only.name.parse().ok().map(|name| BackupElement::Configuration(*service, name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn then(servers: serde_json::Value) -> Vec<Server> {
        serde_json::from_value(servers).unwrap()
    }

    fn now(servers: &[(&str, &str)]) -> Vec<ServerFacts> {
        let server = |(name, role): &(&str, &str)| {
            serde_json::from_value(json!({"name": name, "role": role, "version": "11.1.3.2.0", "address": "a", "online": true})).unwrap()
        };
        servers.iter().map(server).collect()
    }

    #[test]
    fn a_backup_fits_a_replacement_whose_servers_have_other_names() {
        let element: BackupElement = "Configuration/IPOffice/HQ".parse().unwrap();
        let old = then(json!([{"name": "HQ", "role": "Primary", "softwareVersion": "11.1.3.2.0"}]));
        let name = |servers: &[(&str, &str)]| onto(&element, &old, &now(servers)).map(|element| element.to_string());
        assert_eq!(name(&[("HQ", "Primary")]).as_deref(), Some("Configuration/IPOffice/HQ"));
        assert_eq!(name(&[("new", "Primary"), ("x", "Expansion")]).as_deref(), Some("Configuration/IPOffice/new"));
        assert_eq!(name(&[("x", "Expansion")]), None);
        let expansion: BackupElement = "Configuration/IPOffice/E1".parse().unwrap();
        let network = then(json!([
            {"name": "E1", "role": "Expansion", "softwareVersion": "11.1"}, {"name": "E2", "role": "Expansion", "softwareVersion": "11.1"}
        ]));
        assert_eq!(onto(&expansion, &network, &now(&[("F1", "Expansion")])), None, "which of the two it was is not known");
        assert_eq!(onto(&BackupElement::CustomPrompts, &old, &[]), Some(BackupElement::CustomPrompts));
    }
}
