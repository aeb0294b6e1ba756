//! Kubernetes Events: what happened, once per transition, for `kubectl describe`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::Client;
use kube::core::Resource;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// Writes Events about objects. A failure to write is logged, never returned: an Event must not stop the work it is about.
#[derive(Clone)]
pub struct Events {
    client: Client,
    reporter: Reporter,
    last: Arc<Mutex<HashMap<Series, Last>>>,
}

/// UID of the object, and reason: what a series of Events is about.
type Series = (String, String);

/// The last Event of a series.
struct Last {
    note: String,
    recorder: Recorder,
}

/// Series that are remembered; beyond them all begin anew.
const MOST_SERIES: usize = 4096;

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

impl Events {
    /// For one reporting controller, for example `switchboard.dev/ipoffice`.
    pub fn new(client: Client, controller: &str) -> Self {
        Self { client, reporter: Reporter::from(controller.to_owned()), last: Arc::default() }
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
        let note: String = note.chars().take(1000).collect();
        let reference = object.object_ref(&());
        let recorder = self.recorder(reference.uid.clone().unwrap_or_default(), reason, &note);
        let event = Event { type_: kind, reason: reason.to_owned(), note: Some(note), action: action.to_owned(), secondary: None };
        if let Err(error) = recorder.publish(&event, &reference).await {
            tracing::info!(kind = %K::kind(&()), name = reference.name, namespace = reference.namespace, reason, %error, "an event could not be written");
        }
    }

    /// A recorder counts what repeats, whatever its note says, and keeps the first note. Another note begins an Event of its own, so that nobody
    /// reads what was wrong an hour ago.
    fn recorder(&self, uid: String, reason: &str, note: &str) -> Recorder {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let series = (uid, reason.to_owned());
        if let Some(same) = last.get(&series).filter(|last| last.note == note) {
            return same.recorder.clone();
        }
        if last.len() >= MOST_SERIES {
            last.clear();
        }
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        last.insert(series, Last { note: note.to_owned(), recorder: recorder.clone() });
        recorder
    }
}
