//! Whether this replica leads, for Prometheus.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

use crate::fence::Fence;

/// Numbers about the leadership of this replica.
#[derive(Debug, Clone)]
pub struct LeaderMetrics {
    transitions: IntCounterVec,
}

struct Leading {
    fence: Fence,
    gauge: IntGauge,
}

impl LeaderMetrics {
    /// Makes and registers them. The gauge is read from the fence at scrape time.
    ///
    /// # Errors
    /// They are registered already.
    pub fn register(registry: &Registry, fence: Fence) -> Result<Self, prometheus::Error> {
        let gauge = IntGauge::new("switchboard_leader", "1 on the replica that leads, 0 on the others.")?;
        registry.register(Box::new(Leading { fence, gauge }))?;
        let opts = Opts::new("switchboard_leader_transitions_total", "How often this replica began to lead, and how often it ceased to.");
        let transitions = IntCounterVec::new(opts, &["to"])?;
        for to in ["leading", "following"] {
            transitions.with_label_values(&[to]);
        }
        registry.register(Box::new(transitions.clone()))?;
        Ok(Self { transitions })
    }

    /// This replica leads from now on.
    pub fn leads(&self) {
        self.transitions.with_label_values(&["leading"]).inc();
    }

    /// And now no more.
    pub fn follows(&self) {
        self.transitions.with_label_values(&["following"]).inc();
    }
}

impl Collector for Leading {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauge.set(i64::from(self.fence.is_open()));
        self.gauge.collect()
    }
}
