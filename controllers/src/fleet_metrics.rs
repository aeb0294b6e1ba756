//! Gauges of the fleet, read from the caches at scrape time: they cost nothing at rest and are never stale.

use std::collections::HashMap;
use std::sync::Arc;

use crds::action::Phase;
use crds::conditions::is_true;
use crds::registration::Decision;
use model::connectivity::{Colour, Message};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

use crate::caches::Caches;
use crate::index::ActionKind;

struct FleetMetrics {
    caches: Arc<Caches>,
    customers: IntGauge,
    systems: IntGaugeVec,
    messages: IntGaugeVec,
    registrations: IntGaugeVec,
    actions: IntGaugeVec,
    stores: IntGaugeVec,
    simulated: IntGauge,
}

/// Registers the gauges.
///
/// # Errors
/// They are registered already.
pub fn register(registry: &Registry, caches: Arc<Caches>) -> Result<(), prometheus::Error> {
    registry.register(Box::new(FleetMetrics {
        caches,
        customers: IntGauge::new("switchboard_customers", "Customers.")?,
        systems: IntGaugeVec::new(Opts::new("switchboard_systems", "Systems by colour of their connection."), &["colour"])?,
        messages: IntGaugeVec::new(
            Opts::new(
                "switchboard_system_connectivity",
                "Systems by connectivity message (upper camel case, as in the reason of the condition Ready).",
            ),
            &["message"],
        )?,
        registrations: IntGaugeVec::new(
            Opts::new("switchboard_registrations", "Registrations of systems that nobody declared, by decision."),
            &["decision"],
        )?,
        actions: IntGaugeVec::new(
            Opts::new(
                "switchboard_actions",
                "Actions ordered, by kind and phase (Waiting, Scheduled, Paused, InProgress, and what is over).",
            ),
            &["kind", "phase"],
        )?,
        stores: IntGaugeVec::new(Opts::new("switchboard_object_stores", "Object stores, by whether they can be used."), &["ready"])?,
        simulated: IntGauge::new("switchboard_simulated_systems", "Simulated systems.")?,
    }))
}

impl Collector for FleetMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let mut all = self.customers.desc();
        all.extend(self.systems.desc());
        all.extend(self.messages.desc());
        all.extend(self.registrations.desc());
        all.extend(self.actions.desc());
        all.extend(self.stores.desc());
        all.extend(self.simulated.desc());
        all
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut colours: HashMap<Colour, i64> = HashMap::new();
        let mut messages: HashMap<&'static str, i64> = HashMap::new();
        for system in self.caches.systems.store().state() {
            let Some(connection) = system.status.as_ref().and_then(|status| status.connection.as_ref()) else { continue };
            *colours.entry(connection.colour).or_default() += 1;
            if let Some(message) = Message::ALL.iter().find(|message| message.text() == connection.message) {
                *messages.entry(message.reason()).or_default() += 1;
            }
        }
        for colour in Colour::ALL {
            let count = colours.get(&colour).copied().unwrap_or_default();
            self.systems.with_label_values(&[colour.as_str().to_lowercase().as_str()]).set(count);
        }
        for message in Message::ALL {
            let count = messages.get(message.reason()).copied().unwrap_or_default();
            self.messages.with_label_values(&[message.reason()]).set(count);
        }
        let registrations = self.caches.registrations.store().state();
        for (decision, label) in [(Decision::Pending, "pending"), (Decision::Approved, "approved"), (Decision::Denied, "denied")] {
            let count = registrations.iter().filter(|registration| registration.spec.decision == decision).count();
            self.registrations.with_label_values(&[label]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.count_actions();
        let count = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
        self.customers.set(count(self.caches.customers.store().len()));
        self.simulated.set(count(self.caches.simulated.store().len()));
        let mut all = self.customers.collect();
        all.extend(self.systems.collect());
        all.extend(self.messages.collect());
        all.extend(self.registrations.collect());
        all.extend(self.actions.collect());
        all.extend(self.stores.collect());
        all.extend(self.simulated.collect());
        all
    }
}

impl FleetMetrics {
    fn count_actions(&self) {
        let backups = self.caches.backups.store().state();
        let restores = self.caches.restores.store().state();
        let phases = |kind: ActionKind, phases: Vec<Option<Phase>>| {
            for phase in Phase::ALL {
                // One that nobody has looked at yet waits.
                let count = phases.iter().filter(|found| found.unwrap_or_default() == phase).count();
                self.actions.with_label_values(&[kind.as_str(), phase.as_str()]).set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        };
        phases(ActionKind::Backup, backups.iter().map(|backup| backup.status.as_ref().and_then(|status| status.phase)).collect());
        phases(ActionKind::Restore, restores.iter().map(|restore| restore.status.as_ref().and_then(|status| status.phase)).collect());
        let stores = self.caches.stores.store().state();
        let ready = stores.iter().filter(|store| store.status.as_ref().is_some_and(|status| is_true(&status.conditions, "Ready"))).count();
        for (label, count) in [("true", ready), ("false", stores.len() - ready)] {
            self.stores.with_label_values(&[label]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}
