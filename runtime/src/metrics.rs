//! The metrics registry, and the metrics every controller has. The table of all metrics is in `docs/metrics.md`.

use std::time::Instant;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use crate::retry::Class;

/// Metrics of reconciliation, for all kinds.
#[derive(Debug, Clone)]
pub struct ReconcileMetrics {
    total: IntCounterVec,
    seconds: HistogramVec,
}

impl ReconcileMetrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// They are registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let total = IntCounterVec::new(
            Opts::new(
                "switchboard_reconciliations_total",
                "Reconciliations by kind and result (success, transient, overtaken, invalid, terminal).",
            ),
            &["kind", "result"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new("switchboard_reconciliation_seconds", "Time a reconciliation took, in seconds.")
                .buckets(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0]),
            &["kind"],
        )?;
        registry.register(Box::new(total.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self { total, seconds })
    }

    /// Notes one reconciliation that began at `started`.
    pub fn observe(&self, kind: &str, started: Instant, failure: Option<Class>) {
        self.total.with_label_values(&[kind, failure.map_or("success", Class::as_str)]).inc();
        self.seconds.with_label_values(&[kind]).observe(started.elapsed().as_secs_f64());
    }
}
