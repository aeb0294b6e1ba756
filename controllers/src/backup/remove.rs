//! Removes from the store what is no backup, what somebody wants gone, and what newer backups replace.

use archive::layout::{Folder, Item};
use object_client::{ObjectClient, StoreError};
use protocol::message::Command;

use super::run::Order;
use crate::action::reach::Reach;

/// What the system and, where the backup failed, the store still hold of it is removed. One try: what stays costs room and nothing else.
pub async fn tidy(order: &Order, reach: &Reach, failed: bool) {
    let ended = reach.link.request(&reach.key, &reach.operation, Command::EndOperation).await;
    if let Err(error) = ended {
        tracing::info!(system = reach.system.1, %error, "the system was not told that the backup has ended; it drops what it packed at the next one");
    }
    if failed
        && let Ok(client) = reach.clients.get(&reach.store)
        && let Err(error) = remove(&client, &order.folder, true).await
    {
        tracing::info!(folder = order.folder.prefix(), %error, "parts of a backup that failed stay in the store for now");
    }
}

/// Removes a folder, the manifest first, and its unfinished uploads. With `unless_complete` a backup that has a manifest stays.
///
/// # Errors
/// The store's.
pub async fn remove(client: &ObjectClient, folder: &Folder, unless_complete: bool) -> Result<(), StoreError> {
    let (prefix, manifest) = (folder.prefix(), folder.key(&Item::Manifest));
    let mut keys = Vec::new();
    client.list(&prefix, |key, _| keys.push(key.to_owned())).await?;
    if unless_complete && keys.contains(&manifest) {
        return Ok(());
    }
    keys.sort_by_key(|key| *key != manifest);
    client.delete(&keys).await?;
    for upload in client.find_uploads(&prefix).await? {
        client.abort_upload(&upload).await?;
    }
    Ok(())
}

/// Keeps what retention says of the system's backups, and removes the rest (BACKUP-1, promise 3). Returns what was removed.
///
/// # Errors
/// The store's; nothing is removed that was not listed and read in the same look.
pub async fn retain(client: &ObjectClient, folder: &Folder, namespace: &str, zone: &str) -> Result<Vec<String>, StoreError> {
    let catalogue = object_client::catalogue(client, &archive::layout::system_prefix(&folder.system)).await?;
    // A namespace is one tenancy: who takes the ids of a system that is gone does not rule its backups.
    let catalogue = catalogue.only(|manifest| manifest.ip_office.namespace == namespace);
    let Some(held) = catalogue.held(&folder.system) else { return Ok(Vec::new()) };
    let zone = jiff::tz::TimeZone::get(zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let plan = archive::retention::plan(&held, jiff::Timestamp::now(), &zone);
    let mut removed = Vec::new();
    for (id, why) in plan.removed() {
        let Some(entry) = catalogue.find(&folder.system, id) else { continue };
        let keys: Vec<String> = entry.keys_to_remove().into_iter().map(str::to_owned).collect();
        client.delete(&keys).await?;
        removed.push(format!("{id}: {why}"));
    }
    Ok(removed)
}
