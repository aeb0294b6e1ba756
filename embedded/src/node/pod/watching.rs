//! Watching over a running container: its start hook, then its probes.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{LifecycleHandler, Probe};
use tokio::sync::mpsc::UnboundedSender;

use super::probes::{Counter, Kind, Outcome, Target, check, hook, seconds};

/// Longest time a start hook may take.
const HOOK_BOUND: std::time::Duration = std::time::Duration::from_secs(600);

/// What a watcher found out about a life of a container.
#[derive(Debug)]
pub struct Finding {
    /// Which container.
    pub index: usize,
    /// Which of its lives.
    pub life: u64,
    /// What.
    pub what: What,
}

/// What a watcher found out.
#[derive(Debug)]
pub enum What {
    /// The start hook ended.
    Hook(Outcome),
    /// A check failed, the first of its row.
    Failing(Kind, String),
    /// A probe's verdict changed.
    Verdict(Kind, bool),
}

/// What is watched.
pub struct Watch {
    /// Which container.
    pub index: usize,
    /// Which of its lives.
    pub life: u64,
    /// How to reach it.
    pub target: Arc<Target>,
    /// Where findings go.
    pub findings: UnboundedSender<Finding>,
}

impl Watch {
    /// Runs until it is aborted, or until there is nothing more to watch.
    pub async fn run(self) {
        let container = self.target.container.clone();
        if let Some(handler) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref())
            && !self.run_hook(handler).await
        {
            return;
        }
        if let Some(probe) = &container.startup_probe
            && !self.until_started(probe).await
        {
            return;
        }
        let each = |kind, probe: Option<&Probe>| {
            let probe = probe.cloned();
            let watch = &self;
            async move {
                if let Some(probe) = probe {
                    watch.forever(kind, &probe).await;
                }
            }
        };
        tokio::join!(each(Kind::Liveness, container.liveness_probe.as_ref()), each(Kind::Readiness, container.readiness_probe.as_ref()));
    }

    fn tell(&self, what: What) {
        // A closed channel means the pod's task is ending, and this one is aborted.
        let _ = self.findings.send(Finding { index: self.index, life: self.life, what });
    }

    async fn run_hook(&self, handler: &LifecycleHandler) -> bool {
        let outcome = hook(handler, &self.target, HOOK_BOUND).await;
        let fine = outcome.is_ok();
        self.tell(What::Hook(outcome));
        fine
    }

    async fn until_started(&self, probe: &Probe) -> bool {
        let mut counter = Counter::new(probe);
        self.first_delay(probe).await;
        loop {
            if let Some(verdict) = self.once(Kind::Startup, probe, &mut counter).await {
                self.tell(What::Verdict(Kind::Startup, verdict));
                return verdict;
            }
            tokio::time::sleep(seconds(probe.period_seconds, 10)).await;
        }
    }

    async fn forever(&self, kind: Kind, probe: &Probe) {
        let mut counter = Counter::new(probe);
        self.first_delay(probe).await;
        loop {
            if let Some(verdict) = self.once(kind, probe, &mut counter).await {
                self.tell(What::Verdict(kind, verdict));
            }
            tokio::time::sleep(seconds(probe.period_seconds, 10)).await;
        }
    }

    async fn first_delay(&self, probe: &Probe) {
        tokio::time::sleep(seconds(probe.initial_delay_seconds, 0)).await;
    }

    async fn once(&self, kind: Kind, probe: &Probe, counter: &mut Counter) -> Option<bool> {
        let outcome = check(probe, &self.target).await;
        let verdict = counter.take(outcome.is_ok());
        if let Err(why) = outcome
            && counter.row_began()
        {
            self.tell(What::Failing(kind, why));
        }
        verdict
    }
}
