//! Sets settings on systems. Systems answer when they like: that is waited for here, beside the reconciliations, so that a silent system never
//! holds up the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::IPOffice;
use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use model::ids::SystemKey;
use protocol::link::{Done, LinkError, SessionView};
use protocol::message::{Command, Settings};
use ring::digest;
use runtime::cache::Pending;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::plan::Observed;
use crate::index::place;

/// Systems that are asked at a time.
const CONCURRENCY: usize = 256;
/// A system that refused, or took settings and then reports others, is not asked again at once.
const AGAIN_AFTER: Duration = Duration::from_secs(30);

/// What is to be set on a system.
#[derive(Debug)]
pub struct Order {
    system: Arc<IPOffice>,
    key: SystemKey,
    settings: Settings,
    session: u64,
    started: jiff::Timestamp,
    revision: u64,
}

/// What is remembered of the last time.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Whether an answer is waited for.
    waiting: bool,
    last: Option<Attempt>,
}

/// The last time settings were set on a system, or were to be.
#[derive(Debug, Clone)]
struct Attempt {
    session: u64,
    /// When the system had started: a lost disk begins to count anew.
    started: jiff::Timestamp,
    settings: Settings,
    at: Instant,
    /// The number of the configuration that the system answered with, or reason and message of its refusal.
    result: Result<u64, (String, String)>,
}

impl Memory {
    /// Reason and message of the last refusal.
    pub fn failure(&self) -> Option<(String, String)> {
        self.last.as_ref().and_then(|last| last.result.clone().err())
    }

    /// How long to wait before these settings are set: `Some(None)` is until something is heard of the system.
    fn wait(&self, view: Option<&SessionView>, settings: &Settings, now: Instant) -> Option<Option<Duration>> {
        if self.waiting {
            return Some(None);
        }
        let (last, view) = (self.last.as_ref()?, view?);
        if (last.session, last.started) != (view.session, view.facts.started) {
            return None;
        }
        let left = AGAIN_AFTER.checked_sub(now.saturating_duration_since(last.at)).filter(|left| !left.is_zero())?;
        let unreported = last.result.as_ref().is_ok_and(|number| view.facts.configuration_revision < *number);
        (unreported || last.result.is_err() || last.settings == *settings).then_some(Some(left))
    }
}

/// Orders settings to be set, unless that must wait.
pub fn order(observed: &Observed<'_>, settings: Settings, context: &Context) -> Action {
    let uid = observed.system.uid().unwrap_or_default();
    let wait = context.remember(&uid, |memory| {
        let wait = memory.configuring.wait(observed.view.as_ref(), &settings, Instant::now());
        memory.configuring.waiting |= wait.is_none();
        wait
    });
    if let Some(wait) = wait {
        return wait.map_or_else(Action::await_change, Action::requeue);
    }
    let Some(view) = &observed.view else { return Action::await_change() };
    let order = Order {
        system: Arc::new(observed.system.clone()),
        key: observed.key.clone(),
        settings,
        session: view.session,
        started: view.facts.started,
        revision: view.facts.configuration_revision,
    };
    // Nobody takes orders any more: the process is ending.
    let _ = context.orders.send(order);
    Action::await_change()
}

/// Carries orders out until the shutdown; each answer brings the next look at its system.
pub async fn run(
    context: Arc<Context>,
    orders: mpsc::UnboundedReceiver<Order>,
    triggers: Arc<Pending<ObjectRef<IPOffice>>>,
    shutdown: CancellationToken,
) {
    let orders = futures::stream::unfold(orders, |mut orders| async move { orders.recv().await.map(|order| (order, orders)) });
    let work = orders.for_each_concurrent(CONCURRENCY, |order| {
        let (context, triggers) = (Arc::clone(&context), Arc::clone(&triggers));
        async move {
            carry_out(&order, &context).await;
            triggers.add([ObjectRef::from_obj(order.system.as_ref())]);
        }
    });
    tokio::select! {
        () = work => {}
        () = shutdown.cancelled() => {}
    }
}

/// The operation id says what is set on which configuration: asking again after a crash does nothing twice.
async fn carry_out(order: &Order, context: &Context) {
    let uid = order.system.uid().unwrap_or_default();
    let wanted = protocol::frame::write(&order.settings);
    let digest = digest::digest(&digest::SHA256, wanted.as_bytes());
    let short: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let operation = format!("configure-{uid}-{}-{short}", order.revision);
    let answer = context.link.request(&order.key, &operation, Command::Configure(order.settings.clone())).await;
    let result = answer.as_ref().map(|done| done.configuration_revision).map_err(|error| (reason(error), error.to_string()));
    context.recall(&uid, |memory| {
        let attempt =
            Attempt { session: order.session, started: order.started, settings: order.settings.clone(), at: Instant::now(), result };
        memory.configuring = Memory { waiting: false, last: Some(attempt) };
    });
    let (namespace, name) = place(order.system.as_ref());
    match answer {
        Ok(Done { configuration_revision: number, .. }) => {
            tracing::info!(namespace, name, revision = number, "settings set on the system");
            let note = "settings that differed from the spec were set on the system".to_owned();
            context.events.normal(order.system.as_ref(), "Configured", "Configure", note).await;
        }
        Err(error) => tracing::info!(namespace, name, %error, "the system did not take its settings"),
    }
}

/// The system's own word where it can stand as the reason of a condition.
fn reason(error: &LinkError) -> String {
    match error {
        LinkError::Refused { reason, .. } if is_reason(reason) => reason.clone(),
        LinkError::Refused { .. } => "Refused".to_owned(),
        LinkError::NotConnected | LinkError::Interrupted | LinkError::TimedOut | LinkError::Busy => "NotAnswered".to_owned(),
    }
}

fn is_reason(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.starts_with(|c: char| c.is_ascii_uppercase()) && text.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::super::tests::signed_in;
    use super::*;

    fn attempt(result: Result<u64, (String, String)>, settings: Settings, at: Instant) -> Memory {
        Memory { waiting: false, last: Some(Attempt { session: 1, started: signed_in().facts.started, settings, at, result }) }
    }

    #[test]
    fn a_system_is_asked_once_and_after_a_refusal_only_later() {
        let now = Instant::now();
        let view = signed_in();
        let settings = Settings { time_zone: Some("Europe/London".into()), ..Settings::default() };
        let ask = |memory: &Memory, settings: &Settings, later: u64| memory.wait(Some(&view), settings, now + Duration::from_secs(later));
        assert_eq!(ask(&Memory::default(), &settings, 0), None);
        let mut replaced = attempt(Ok(5), settings.clone(), now);
        replaced.last.iter_mut().for_each(|last| last.started = jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(ask(&replaced, &settings, 0), None, "another unit, or another disk");
        assert_eq!(ask(&Memory { waiting: true, last: None }, &settings, 0), Some(None));
        // It answered with number 5 and still reports 4.
        assert_eq!(ask(&attempt(Ok(5), settings.clone(), now), &settings, 10), Some(Some(Duration::from_secs(20))));
        // It reports what it answered with, and yet other settings.
        let kept_otherwise = attempt(Ok(4), settings.clone(), now);
        assert_eq!(ask(&kept_otherwise, &settings, 10), Some(Some(Duration::from_secs(20))));
        assert_eq!(ask(&kept_otherwise, &Settings::default(), 10), None, "other settings need not wait");
        let refused = attempt(Err(("Busy".into(), "busy at 12:00:01".into())), settings.clone(), now);
        assert_eq!(ask(&refused, &Settings::default(), 10), Some(Some(Duration::from_secs(20))));
        assert_eq!(ask(&refused, &settings, 31), None);
        assert_eq!(refused.failure().map(|(reason, _)| reason).as_deref(), Some("Busy"));
    }

    #[test]
    fn only_a_word_can_be_a_reason() {
        let refused = |reason: &str| LinkError::Refused { reason: reason.into(), message: String::new() };
        assert_eq!(reason(&refused("DiskFull")), "DiskFull");
        assert_eq!(reason(&refused("disk full!")), "Refused");
        assert_eq!(reason(&LinkError::TimedOut), "NotAnswered");
    }
}
