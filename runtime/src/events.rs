//! Kubernetes Events: what happened, once per transition, for `kubectl describe`.

use kube::Client;
use kube::core::Resource;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// Writes Events about objects. A failure to write is logged, never returned: an Event must not stop the work it is about.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

impl Events {
    /// For one reporting controller, for example `switchboard.dev/ipoffice`.
    pub fn new(client: Client, controller: &str) -> Self {
        Self { recorder: Recorder::new(client, Reporter::from(controller.to_owned())) }
    }

    /// Something went as it should.
    pub async fn normal<K: Resource<DynamicType = ()>>(&self, object: &K, reason: &str, action: &str, note: String) {
        self.publish(object, EventType::Normal, reason, action, note).await;
    }

    /// Something needs attention.
    pub async fn warning<K: Resource<DynamicType = ()>>(&self, object: &K, reason: &str, action: &str, note: String) {
        self.publish(object, EventType::Warning, reason, action, note).await;
    }

    async fn publish<K: Resource<DynamicType = ()>>(&self, object: &K, kind: EventType, reason: &str, action: &str, note: String) {
        // The API takes notes of up to 1 kB.
        let note = note.chars().take(1000).collect();
        let event = Event { type_: kind, reason: reason.to_owned(), note: Some(note), action: action.to_owned(), secondary: None };
        let reference = object.object_ref(&());
        if let Err(error) = self.recorder.publish(&event, &reference).await {
            tracing::info!(kind = %K::kind(&()), name = reference.name, namespace = reference.namespace, reason, %error, "an event could not be written");
        }
    }
}
