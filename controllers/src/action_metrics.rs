//! How actions end. How they stand is read from the caches at scrape time, in [`crate::fleet_metrics`].

use crds::action::Phase;
use prometheus::{IntCounterVec, Opts, Registry};

use crate::index::ActionKind;

/// Counters of actions.
#[derive(Debug, Clone)]
pub struct ActionMetrics {
    ended: IntCounterVec,
}

impl ActionMetrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// They are registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let ended = IntCounterVec::new(
            Opts::new("switchboard_actions_ended_total", "Actions that ended, by kind and phase (Completed, Failed, Stopped)."),
            &["kind", "phase"],
        )?;
        // Every series, so that the first end is a step from 0 to 1 and rates see it.
        for (kind, phase) in ActionKind::ALL.into_iter().flat_map(|kind| Phase::ALL.map(|phase| (kind, phase))) {
            if phase.is_final() {
                ended.with_label_values(&[kind.as_str(), phase.as_str()]);
            }
        }
        registry.register(Box::new(ended.clone()))?;
        Ok(Self { ended })
    }

    /// An action ended.
    pub fn ended(&self, kind: ActionKind, phase: Phase) {
        self.ended.with_label_values(&[kind.as_str(), phase.as_str()]).inc();
    }
}
