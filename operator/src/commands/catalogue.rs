//! `switchboard catalogue`: what backups there are, from the store alone.

use archive::catalogue::{Catalogue, Entry, State};
use archive::verification::Soundness;
use serde_json::{Value, json};

use super::{CommandResult, block_on, say, store_access, table};
use crate::arguments::{CatalogueOptions, OutputFormat};

/// Runs it.
pub fn run(options: &CatalogueOptions) -> CommandResult {
    block_on(async {
        let client = store_access::client(&options.store)?;
        let catalogue = object_client::catalogue(&client, &store_access::prefix(&options.store)).await?;
        match options.output {
            OutputFormat::Table => say(human(&catalogue).trim_end()),
            OutputFormat::Json => say(&serde_json::to_string_pretty(&machine(&catalogue))?),
        }
        Ok(())
    })
}

/// One word for what a folder is.
pub fn word(entry: &Entry) -> &'static str {
    match &entry.state {
        State::Complete { soundness: Soundness::Damaged(_), .. } | State::Damaged(_) => "Damaged",
        State::Complete { .. } => "Complete",
        State::Incomplete => "Incomplete",
        State::Newer(_) => "Newer",
        State::Foreign(_) => "Foreign",
        State::Unread(_) => "Unread",
    }
}

/// Why a folder is no backup that can be relied on.
pub fn reason(entry: &Entry) -> Option<String> {
    match &entry.state {
        State::Complete { soundness: Soundness::Damaged(reason), .. } | State::Unread(reason) => Some(reason.clone()),
        State::Damaged(damage) => Some(damage.to_string()),
        State::Newer(error) | State::Foreign(error) => Some(error.to_string()),
        State::Complete { .. } => {
            entry.verification_unread.then(|| "its verification record cannot be read now, or a newer Switchboard wrote it".to_owned())
        }
        State::Incomplete => None,
    }
}

fn verified(entry: &Entry) -> String {
    match &entry.state {
        State::Complete { .. } if entry.verification_unread => "unknown".to_owned(),
        State::Complete { soundness: Soundness::Verified(time), .. } => to_the_second(*time),
        State::Complete { soundness: Soundness::Damaged(_), .. } => "failed".to_owned(),
        State::Complete { soundness: Soundness::Unverified, .. } => "no".to_owned(),
        _ => String::new(),
    }
}

fn to_the_second(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn human(catalogue: &Catalogue) -> String {
    let header =
        ["CUSTOMER", "SYSTEM", "BACKUP", "STATE", "TIME", "ELEMENTS", "SIZE", "VERIFIED", "SYSTEM NAME", "NAME"].map(str::to_owned);
    let rows = catalogue.entries.iter().map(|entry| {
        let manifest = entry.manifest();
        [
            entry.folder.system.customer.to_string(),
            entry.folder.system.system.to_string(),
            entry.folder.id.to_string(),
            word(entry).to_owned(),
            to_the_second(entry.time()),
            manifest.map(|manifest| manifest.totals.elements.to_string()).unwrap_or_default(),
            table::size(manifest.map_or(entry.stored, |manifest| manifest.totals.size)),
            verified(entry),
            manifest.map(|manifest| manifest.system_name.clone()).unwrap_or_default(),
            manifest.and_then(|manifest| manifest.name.clone()).unwrap_or_default(),
        ]
    });
    let mut text =
        if catalogue.entries.is_empty() { "No backups found.\n".to_owned() } else { table::lines(std::iter::once(header).chain(rows)) };
    for entry in &catalogue.entries {
        if let Some(reason) = reason(entry) {
            let reason = table::printable(&reason);
            text += &format!("\n{} of {} is {}: {reason}", entry.folder.id, entry.folder.system, word(entry).to_lowercase());
        }
    }
    if catalogue.stranger_count > 0 {
        text += &format!("\n\nObjects that are no backup's: {}", catalogue.stranger_count);
        for (key, error) in &catalogue.strangers {
            text += &format!("\n  {}: {error}", table::printable(key));
        }
    }
    text
}

fn machine(catalogue: &Catalogue) -> Value {
    let entry = |entry: &Entry| {
        let manifest = entry.manifest();
        let soundness = match &entry.state {
            State::Complete { soundness: Soundness::Verified(time), .. } => Some(time.to_string()),
            _ => None,
        };
        json!({
            "customerId": entry.folder.system.customer,
            "systemId": entry.folder.system.system,
            "backupId": entry.folder.id,
            "state": word(entry),
            "reason": reason(entry),
            "time": entry.time(),
            "finished": manifest.map(|manifest| manifest.finished),
            "namespace": manifest.map(|manifest| &manifest.ip_office.namespace),
            "ipOffice": manifest.map(|manifest| &manifest.ip_office.name),
            "backup": manifest.map(|manifest| &manifest.backup.name),
            "name": manifest.and_then(|manifest| manifest.name.clone()),
            "occasion": manifest.map(|manifest| manifest.occasion),
            "softwareVersion": manifest.map(|manifest| &manifest.software_version),
            "systemName": manifest.map(|manifest| &manifest.system_name),
            "elements": manifest.map(|manifest| manifest.elements.iter().map(|element| element.element.to_string()).collect::<Vec<_>>()),
            "size": manifest.map(|manifest| manifest.totals.size),
            "stored": entry.stored,
            "verified": soundness,
            "verificationUnread": entry.verification_unread,
        })
    };
    let strangers = catalogue.strangers.iter().map(|(key, error)| json!({"key": key, "reason": error.to_string()}));
    json!({
        "backups": catalogue.entries.iter().map(entry).collect::<Vec<_>>(),
        "strangers": strangers.collect::<Vec<_>>(),
        "strangerCount": catalogue.stranger_count,
    })
}
