//! Events of the controllers of workloads. A repeated one counts up instead of becoming another object.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Error};
use serde_json::json;

use super::context::whole_seconds;

/// Events remembered for counting.
const REMEMBERED: usize = 256;
/// Characters of a message.
const LONGEST: usize = 1024;

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Somebody may have to do something.
    pub warning: bool,
    /// One word, such as `ScalingReplicaSet`.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

impl News {
    /// Something went as it should.
    pub fn normal(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: false, reason, message: message.into() }
    }
    /// Something did not.
    pub fn warning(reason: &'static str, message: impl Into<String>) -> Self {
        Self { warning: true, reason, message: message.into() }
    }
}

struct Known {
    uid: Option<String>,
    news: News,
    name: String,
    count: i32,
}

/// Tells for one controller. Cheap to clone.
#[derive(Clone)]
pub struct Teller {
    client: Client,
    controller: &'static str,
    known: Arc<Mutex<VecDeque<Known>>>,
}

impl Teller {
    /// For the controller of this name.
    pub fn new(client: Client, controller: &'static str) -> Self {
        Self { client, controller, known: Arc::default() }
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an Event.
    ///
    /// # Errors
    /// What the server says.
    pub async fn tell(&self, about: ObjectReference, mut news: News) -> Result<(), Error> {
        news.message = news.message.chars().take(LONGEST).collect();
        let api: Api<Event> = Api::namespaced(self.client.clone(), about.namespace.as_deref().unwrap_or("default"));
        let now = whole_seconds(Timestamp::now());
        if let Some((name, count)) = self.repeated(&about, &news) {
            let patch = json!({"count": count, "lastTimestamp": now});
            match api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
                Ok(_) => return Ok(()),
                // Events are thrown away after a while.
                Err(Error::Api(status)) if status.code == 404 => self.known().retain(|known| known.name != name),
                Err(error) => return Err(error),
            }
        }
        let suffix = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("{}.{}", about.name.as_deref().unwrap_or_default(), &suffix[..16]);
        let uid = about.uid.clone();
        api.create(&PostParams::default(), &self.event(about, &news, name.clone(), now)).await?;
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.pop_front();
        }
        known.push_back(Known { uid, news, name, count: 1 });
        Ok(())
    }

    /// Name and new count of an Event that says the same.
    fn repeated(&self, about: &ObjectReference, news: &News) -> Option<(String, i32)> {
        let mut known = self.known();
        let same = known.iter_mut().find(|known| known.uid == about.uid && known.news == *news)?;
        same.count = same.count.saturating_add(1);
        Some((same.name.clone(), same.count))
    }

    fn event(&self, about: ObjectReference, news: &News, name: String, now: Time) -> Event {
        Event {
            metadata: ObjectMeta { name: Some(name), namespace: about.namespace.clone(), ..ObjectMeta::default() },
            involved_object: about,
            type_: Some(if news.warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(news.reason.to_owned()),
            message: Some(news.message.clone()),
            source: Some(EventSource { component: Some(self.controller.to_owned()), host: None }),
            reporting_component: Some(self.controller.to_owned()),
            first_timestamp: Some(now.clone()),
            last_timestamp: Some(now),
            count: Some(1),
            ..Event::default()
        }
    }
}
