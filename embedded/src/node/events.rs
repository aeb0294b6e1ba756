//! Writes Events about pods, one after the other. A repeated one counts up instead of becoming another object.

use std::collections::VecDeque;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Error};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::live::PodReference;
use super::pod::Note;

/// Events remembered for counting.
const REMEMBERED: usize = 512;

/// The queue's length; more at once are dropped.
pub const QUEUE: usize = 1024;

struct Known {
    pod: String,
    note: Note,
    name: String,
    count: i32,
}

/// Writes Events for one node.
pub struct EventWriter {
    client: Client,
    node: String,
    known: VecDeque<Known>,
    number: u64,
}

impl EventWriter {
    /// A writer that speaks for a node.
    pub fn new(client: Client, node: impl Into<String>) -> Self {
        Self { client, node: node.into(), known: VecDeque::new(), number: 0 }
    }

    /// Writes what comes until shutdown, and then what is already in the queue.
    pub async fn run(mut self, mut notes: mpsc::Receiver<(PodReference, Note)>, shutdown: CancellationToken) {
        loop {
            let next = tokio::select! {
                biased;
                next = notes.recv() => next,
                () = shutdown.cancelled() => notes.try_recv().ok(),
            };
            let Some((pod, note)) = next else { return };
            if let Err(error) = self.write(&pod, note).await {
                // Events tell, nothing depends on them; in a namespace that is going they are refused.
                tracing::debug!(%error, pod = %pod.name, namespace = %pod.namespace, "an Event could not be written");
            }
        }
    }

    async fn write(&mut self, pod: &PodReference, note: Note) -> Result<(), Error> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &pod.namespace);
        let now = Timestamp::now();
        if let Some(known) = self.known.iter_mut().find(|known| known.pod == pod.uid && known.note == note) {
            let patch = json!({"count": known.count + 1, "lastTimestamp": super::pod::status::seconds(now)});
            match api.patch(&known.name, &PatchParams::default(), &Patch::Merge(patch)).await {
                Ok(_) => {
                    known.count += 1;
                    return Ok(());
                }
                // Events are thrown away after a while.
                Err(Error::Api(status)) if status.code == 404 => self.known.retain(|known| known.pod != pod.uid || known.note != note),
                Err(error) => return Err(error),
            }
        }
        self.number += 1;
        let nanoseconds = u64::try_from(now.as_nanosecond()).unwrap_or_default();
        let name = format!("{}.{:x}", pod.name, nanoseconds.wrapping_add(self.number));
        api.create(&PostParams::default(), &self.event(pod, &note, &name, now)).await?;
        if self.known.len() >= REMEMBERED {
            self.known.pop_front();
        }
        self.known.push_back(Known { pod: pod.uid.clone(), note, name, count: 1 });
        Ok(())
    }

    fn event(&self, pod: &PodReference, note: &Note, name: &str, now: Timestamp) -> Event {
        let list = if note.init { "initContainers" } else { "containers" };
        let component = if note.reason == "Scheduled" || note.reason == "FailedScheduling" { "default-scheduler" } else { "kubelet" };
        Event {
            metadata: ObjectMeta { name: Some(name.to_owned()), namespace: Some(pod.namespace.clone()), ..ObjectMeta::default() },
            involved_object: ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                namespace: Some(pod.namespace.clone()),
                name: Some(pod.name.clone()),
                uid: Some(pod.uid.clone()),
                resource_version: Some(pod.version.clone()),
                field_path: note.container.as_ref().map(|container| format!("spec.{list}{{{container}}}")),
            },
            type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(note.reason.to_owned()),
            message: Some(note.message.chars().take(1024).collect()),
            source: Some(EventSource { component: Some(component.to_owned()), host: Some(self.node.clone()) }),
            reporting_component: Some(component.to_owned()),
            reporting_instance: Some(self.node.clone()),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            count: Some(1),
            ..Event::default()
        }
    }
}
