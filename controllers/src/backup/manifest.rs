//! The manifest of a backup that is in the store. Pure.

use archive::element::Occasion;
use archive::manifest::{Element, Manifest, ObjectReference, SCHEMA_VERSION, Server, Totals};
use kube::ResourceExt as _;
use protocol::message::Facts;

use super::run::Order;

/// The manifest.
pub fn manifest(order: &Order, facts: &Facts, configuration_revision: u64, elements: Vec<Element>) -> Manifest {
    let backup = &order.backup;
    let namespace = backup.namespace().unwrap_or_default();
    let now = jiff::Timestamp::now();
    let started = backup.status.as_ref().and_then(|status| status.start_time.as_ref()).map_or(now, |time| time.0);
    Manifest {
        schema_version: SCHEMA_VERSION,
        requires: Vec::new(),
        written_by: concat!("switchboard ", env!("CARGO_PKG_VERSION")).to_owned(),
        backup_id: order.folder.id.clone(),
        customer_id: order.folder.system.customer.clone(),
        system_id: order.folder.system.system.clone(),
        ip_office: ObjectReference { namespace: namespace.clone(), name: backup.spec.ip_office.clone(), uid: order.system_uid.clone() },
        backup: ObjectReference { namespace, name: backup.name_any(), uid: backup.uid().unwrap_or_default() },
        occasion: Occasion::Manual,
        name: backup.spec.display_name.clone(),
        started,
        finished: now.max(started),
        software_version: facts.version.clone(),
        profile: facts.profile,
        configuration_revision,
        system_name: facts.system_name.clone(),
        time_zone: facts.time_zone.clone(),
        servers: facts
            .servers
            .iter()
            .map(|server| Server { name: server.name.clone(), role: server.role, software_version: server.version.clone() })
            .collect(),
        totals: Totals::of(&elements),
        elements,
    }
}
