//! Gauges of the fleet, read from the caches at scrape time: they cost nothing at rest and are never stale.

use std::collections::HashMap;
use std::sync::Arc;

use crds::action::Phase;
use crds::conditions::is_true;
use crds::registration::Decision;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use model::connectivity::{Colour, Message};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};
use runtime::fence::Fence;

use crate::action::report::WAITING_FOR_TURN;
use crate::backup_age::{Age, LastBackups};
use crate::caches::Caches;
use crate::customer_metrics::CustomerMetrics;
use crate::index::ActionKind;

struct FleetMetrics {
    caches: Arc<Caches>,
    /// All replicas see the same fleet; only the leader tells of it, so that a sum over replicas is right.
    fence: Fence,
    customers: IntGauge,
    systems: IntGaugeVec,
    messages: IntGaugeVec,
    backups: IntGaugeVec,
    registrations: IntGaugeVec,
    actions: IntGaugeVec,
    waiting: IntGaugeVec,
    oldest: IntGaugeVec,
    stores: IntGaugeVec,
    simulated: IntGauge,
    of_customers: CustomerMetrics,
}

/// Registers the gauges.
///
/// # Errors
/// They are registered already.
pub fn register(registry: &Registry, caches: Arc<Caches>, fence: Fence) -> Result<(), prometheus::Error> {
    registry.register(Box::new(FleetMetrics::new(caches, fence)?))
}

/// What the metrics need of an action.
struct Seen<'a> {
    phase: Phase,
    waits_for_turn: bool,
    started: Option<&'a Time>,
}

impl<'a> Seen<'a> {
    /// One that nobody has looked at yet waits.
    fn new(phase: Option<Phase>, conditions: &[Condition], started: Option<&'a Time>) -> Self {
        let waits_for_turn = conditions.iter().any(|condition| condition.type_ == "Complete" && condition.reason == WAITING_FOR_TURN);
        Self { phase: phase.unwrap_or_default(), waits_for_turn, started }
    }
}

impl Collector for FleetMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let mut all = self.customers.desc();
        all.extend(self.simulated.desc());
        all.extend(self.labelled().into_iter().flat_map(|gauges| gauges.desc()));
        all.extend(self.of_customers.desc());
        all
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if !self.fence.is_open() {
            return Vec::new();
        }
        let now = Timestamp::now();
        let backups = LastBackups::of(&self.caches.backups.store().state());
        self.count_systems(&backups, now);
        self.count_registrations();
        self.count_actions();
        self.count_stores();
        self.customers.set(number(self.caches.customers.store().len()));
        self.simulated.set(number(self.caches.simulated.store().len()));
        let mut all = self.customers.collect();
        all.extend(self.simulated.collect());
        all.extend(self.labelled().into_iter().flat_map(|gauges| gauges.collect()));
        all.extend(self.of_customers.collect(&self.caches, &backups, now));
        all
    }
}

impl FleetMetrics {
    fn new(caches: Arc<Caches>, fence: Fence) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        Ok(Self {
            caches,
            fence,
            customers: IntGauge::new("switchboard_customers", "Customers.")?,
            systems: gauge("switchboard_systems", "Systems by colour of their connection.", &["colour"])?,
            messages: gauge(
                "switchboard_system_connectivity",
                "Systems by connectivity message (upper camel case, as in the reason of the condition Ready).",
                &["message"],
            )?,
            backups: gauge(
                "switchboard_system_backups",
                "Systems by age of their last good backup that has an object (day, week, month, older, missing).",
                &["age"],
            )?,
            registrations: gauge(
                "switchboard_registrations",
                "Registrations of systems that nobody declared, by decision.",
                &["decision"],
            )?,
            actions: gauge(
                "switchboard_actions",
                "Actions ordered, by kind and phase (Waiting, Scheduled, Paused, InProgress, and what is over).",
                &["kind", "phase"],
            )?,
            waiting: gauge(
                "switchboard_actions_waiting_for_turn",
                "Actions that wait only because another works on the system.",
                &["kind"],
            )?,
            oldest: gauge(
                "switchboard_action_oldest_start_timestamp_seconds",
                "When the action began that has been in progress for longest, in seconds since 1970.",
                &["kind"],
            )?,
            stores: gauge("switchboard_object_stores", "Object stores, by whether they can be used.", &["ready"])?,
            simulated: IntGauge::new("switchboard_simulated_systems", "Simulated systems.")?,
            of_customers: CustomerMetrics::new()?,
        })
    }

    fn labelled(&self) -> [&IntGaugeVec; 8] {
        let Self { systems, messages, backups, registrations, actions, waiting, oldest, stores, .. } = self;
        [systems, messages, backups, registrations, actions, waiting, oldest, stores]
    }

    fn count_systems(&self, backups: &LastBackups, now: Timestamp) {
        let mut colours: HashMap<Colour, i64> = HashMap::new();
        let mut messages: HashMap<&'static str, i64> = HashMap::new();
        let mut ages: HashMap<Age, i64> = HashMap::new();
        for system in self.caches.systems.store().state() {
            *ages.entry(backups.age(&system, now)).or_default() += 1;
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
        for age in Age::ALL {
            self.backups.with_label_values(&[age.as_str()]).set(ages.get(&age).copied().unwrap_or_default());
        }
    }

    fn count_registrations(&self) {
        let registrations = self.caches.registrations.store().state();
        for (decision, label) in [(Decision::Pending, "pending"), (Decision::Approved, "approved"), (Decision::Denied, "denied")] {
            let count = registrations.iter().filter(|registration| registration.spec.decision == decision).count();
            self.registrations.with_label_values(&[label]).set(number(count));
        }
    }

    fn count_actions(&self) {
        let backups = self.caches.backups.store().state();
        let seen = backups.iter().map(|backup| match &backup.status {
            Some(status) => Seen::new(status.phase, &status.conditions, status.start_time.as_ref()),
            None => Seen::new(None, &[], None),
        });
        self.count_kind(ActionKind::Backup, &seen.collect::<Vec<_>>());
        let restores = self.caches.restores.store().state();
        let seen = restores.iter().map(|restore| match &restore.status {
            Some(status) => Seen::new(status.phase, &status.conditions, status.start_time.as_ref()),
            None => Seen::new(None, &[], None),
        });
        self.count_kind(ActionKind::Restore, &seen.collect::<Vec<_>>());
    }

    fn count_kind(&self, kind: ActionKind, actions: &[Seen<'_>]) {
        for phase in Phase::ALL {
            let count = actions.iter().filter(|action| action.phase == phase).count();
            self.actions.with_label_values(&[kind.as_str(), phase.as_str()]).set(number(count));
        }
        let waiting = actions.iter().filter(|action| action.phase == Phase::Waiting && action.waits_for_turn).count();
        self.waiting.with_label_values(&[kind.as_str()]).set(number(waiting));
        let running = actions.iter().filter(|action| action.phase == Phase::InProgress);
        match running.filter_map(|action| action.started).map(|started| started.0).min() {
            Some(began) => self.oldest.with_label_values(&[kind.as_str()]).set(began.as_second()),
            // None runs: there is no such moment. An error says that there was no series.
            None => drop(self.oldest.remove_label_values(&[kind.as_str()])),
        }
    }

    fn count_stores(&self) {
        let stores = self.caches.stores.store().state();
        let ready = stores.iter().filter(|store| store.status.as_ref().is_some_and(|status| is_true(&status.conditions, "Ready"))).count();
        for (label, count) in [("true", ready), ("false", stores.len() - ready)] {
            self.stores.with_label_values(&[label]).set(number(count));
        }
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
