//! Gauges of each customer, read from the caches at scrape time: what its dashboard shows.
//!
//! The only series that carry names of objects, of tenancies and customers and never of systems (decision 0036). All but the colours are there
//! only while they are not 0, so that a customer has no more of a kind than it has systems or actions.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crds::action::Phase;
use jiff::Timestamp;
use model::connectivity::{Colour, Message};
use prometheus::core::{Collector as _, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts};

use crate::backup_age::LastBackups;
use crate::caches::Caches;
use crate::index::{ActionKind, Place, place};

/// The gauges.
pub(crate) struct CustomerMetrics {
    systems: IntGaugeVec,
    messages: IntGaugeVec,
    backups: IntGaugeVec,
    actions: IntGaugeVec,
    /// Held while the gauges are emptied and filled: two scrapes may come at once.
    filling: Mutex<()>,
}

impl CustomerMetrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let gauge =
            |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), &[&["tenancy", "customer"], labels].concat());
        Ok(Self {
            systems: gauge("switchboard_customer_systems", "Systems of a customer, by colour of their connection.", &["colour"])?,
            messages: gauge("switchboard_customer_system_connectivity", "Systems of a customer, by connectivity message.", &["message"])?,
            backups: gauge(
                "switchboard_customer_system_backups",
                "Systems of a customer, by age of their last good backup that has an object.",
                &["age"],
            )?,
            actions: gauge("switchboard_customer_actions", "Actions on a customer's systems, by kind and phase.", &["kind", "phase"])?,
            filling: Mutex::default(),
        })
    }

    pub(crate) fn desc(&self) -> Vec<&Desc> {
        [&self.systems, &self.messages, &self.backups, &self.actions].into_iter().flat_map(|gauges| gauges.desc()).collect()
    }

    /// What the caches say now; customers that are gone leave nothing behind.
    pub(crate) fn collect(&self, caches: &Caches, backups: &LastBackups, now: Timestamp) -> Vec<MetricFamily> {
        let _filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        let all = [&self.systems, &self.messages, &self.backups, &self.actions];
        for gauges in all {
            gauges.reset();
        }
        let customers = self.count_systems(caches, backups, now);
        self.count_actions(caches, &customers);
        all.into_iter().flat_map(|gauges| gauges.collect()).collect()
    }

    /// Returns the customer of each system.
    fn count_systems(&self, caches: &Caches, backups: &LastBackups, now: Timestamp) -> HashMap<Place, Place> {
        let customers: Vec<Place> = caches.customers.store().state().iter().map(|customer| place(customer.as_ref())).collect();
        let mut customer_of = HashMap::new();
        for customer in customers {
            let (tenancy, name) = (customer.0.as_str(), customer.1.as_str());
            for colour in Colour::ALL {
                self.systems.with_label_values(&[tenancy, name, colour.as_str().to_lowercase().as_str()]).set(0);
            }
            for system in caches.systems_of(&customer) {
                customer_of.insert(place(system.as_ref()), customer.clone());
                self.backups.with_label_values(&[tenancy, name, backups.age(&system, now).as_str()]).inc();
                let Some(connection) = system.status.as_ref().and_then(|status| status.connection.as_ref()) else { continue };
                self.systems.with_label_values(&[tenancy, name, connection.colour.as_str().to_lowercase().as_str()]).inc();
                if let Some(message) = Message::ALL.iter().find(|message| message.text() == connection.message) {
                    self.messages.with_label_values(&[tenancy, name, message.reason()]).inc();
                }
            }
        }
        customer_of
    }

    fn count_actions(&self, caches: &Caches, customer_of: &HashMap<Place, Place>) {
        let count = |kind: ActionKind, namespace: String, system: &str, phase: Option<Phase>| {
            let Some((tenancy, name)) = customer_of.get(&(namespace, system.to_owned())) else { return };
            // One that nobody has looked at yet waits.
            self.actions.with_label_values(&[tenancy.as_str(), name.as_str(), kind.as_str(), phase.unwrap_or_default().as_str()]).inc();
        };
        for backup in caches.backups.store().state() {
            let phase = backup.status.as_ref().and_then(|status| status.phase);
            count(ActionKind::Backup, place(backup.as_ref()).0, &backup.spec.ip_office, phase);
        }
        for restore in caches.restores.store().state() {
            let phase = restore.status.as_ref().and_then(|status| status.phase);
            count(ActionKind::Restore, place(restore.as_ref()).0, &restore.spec.ip_office, phase);
        }
    }
}
