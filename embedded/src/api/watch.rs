//! WATCH: changes as they happen.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::negotiation::{Form, Shape};
use super::read::invalid_version;
use super::request::Call;
use super::respond::{self, Answer};
use super::routing::Target;
use super::selectors::Selector;
use super::table::{Include, Tabulator, metadata_only};
use super::{Api, view};
use crate::body::{self, BoxError};
use crate::resource::Resource;
use crate::status::{FieldError, Status};
use crate::store::{Change, Event, Object, Watch};

/// How often a client that asked for bookmarks gets one.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// How long a watch lasts where the client does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);
/// However long a client asks for: a time far enough away cannot be computed with.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// A watch under way: what it yields next.
struct Stream {
    api: Api,
    resource: Arc<Resource>,
    selector: Selector,
    shape: Shape,
    include: Include,
    /// Columns go with the first table only.
    columns_sent: bool,
    watch: Option<Watch>,
    ready: VecDeque<Bytes>,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
}

impl Api {
    pub(super) fn watch(&self, call: &Call, target: &Target) -> Result<Answer, Status> {
        let query = &call.query;
        let form = Form::negotiate(call.header("accept"))?;
        let mut fields = query.text("fieldSelector").to_owned();
        if let Some(name) = &target.name {
            fields = format!("metadata.name={name}");
        }
        let selector = Selector::parse(query.text("labelSelector"), &fields, &target.resource)?;
        let wanted = query.integer("resourceVersion").map_err(|_| invalid_version(query.text("resourceVersion")))?;
        let initial = initial_events(call)?;
        let timeout = query.integer("timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
        let timeout = timeout.map_or(DEFAULT_TIMEOUT, |seconds| Duration::from_secs(seconds).min(LONGEST_TIMEOUT));
        let now = Instant::now();
        let mut stream = Stream {
            api: self.clone(),
            resource: target.resource.clone(),
            selector,
            shape: form.shape,
            include: Include::parse(query.text("includeObject")),
            columns_sent: false,
            watch: None,
            ready: VecDeque::new(),
            bookmarks: query.flag("allowWatchBookmarks"),
            next_bookmark: now + BOOKMARK_INTERVAL,
            deadline: now + timeout,
        };
        match (initial, wanted) {
            (Some(true), _) => {
                self.refuse_future(wanted)?;
                self.start_with_state(&mut stream, target, true);
            }
            (None, None | Some(0)) => self.start_with_state(&mut stream, target, false),
            (Some(false), None | Some(0)) => self.start(&mut stream, target, self.store().revision()),
            (_, Some(wanted)) => {
                self.refuse_future(Some(wanted))?;
                self.start(&mut stream, target, u64::try_from(wanted).unwrap_or(0));
            }
        }
        let pieces =
            futures::stream::unfold(
                stream,
                |mut stream| async move { stream.next().await.map(|piece| (Ok::<_, BoxError>(piece), stream)) },
            );
        Ok(respond::build(200, "application/json", body::stream(pieces)))
    }

    /// Begins after `from`.
    fn start(&self, stream: &mut Stream, target: &Target, from: u64) {
        let namespace = (!target.namespace.is_empty()).then_some(target.namespace.as_str());
        // Nothing was recorded of a kind before it was served.
        let served_since = self.served_since(&target.resource);
        if from < served_since {
            return stream.fail(&format!("too old resource version: {from} ({served_since})"));
        }
        match self.store().watch(&target.resource.storage, namespace, from) {
            Ok(watch) => stream.watch = Some(watch),
            Err(too_old) => stream.fail(&too_old.to_string()),
        }
    }

    /// Begins with the present state as additions.
    fn start_with_state(&self, stream: &mut Stream, target: &Target, mark_end: bool) {
        let namespace = (!target.namespace.is_empty()).then_some(target.namespace.as_str());
        let listing = self.store().list(&target.resource.storage, namespace, None, None);
        for object in &listing.objects {
            if stream.selected(object) {
                stream.push("ADDED", object);
            }
        }
        if mark_end {
            stream.push_bookmark(listing.revision, true);
        }
        match self.store().watch(&target.resource.storage, namespace, listing.revision) {
            Ok(watch) => stream.watch = Some(watch),
            Err(too_old) => stream.fail(&too_old.to_string()),
        }
    }
}

/// Whether the client wants the present state first, where it says so.
fn initial_events(call: &Call) -> Result<Option<bool>, Status> {
    let forbid = |why: &str| Err(Status::invalid("meta.k8s.io", "ListOptions", "", &[FieldError::forbidden("resourceVersionMatch", why)]));
    let matching = call.query.text("resourceVersionMatch");
    match call.query.get("sendInitialEvents") {
        None if matching.is_empty() => Ok(None),
        None => forbid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"),
        Some(_) if matching != "NotOlderThan" => forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        Some(_) => Ok(Some(call.query.flag("sendInitialEvents"))),
    }
}

impl Stream {
    /// The next piece to send; `None` ends the answer.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            let watch = self.watch.as_mut()?;
            let wake = if self.bookmarks { self.next_bookmark.min(self.deadline) } else { self.deadline };
            let next = tokio::time::timeout_at(wake, watch.next());
            let next = tokio::select! {
                biased;
                next = next => next,
                // The kind's definition is gone: there is nothing more to see.
                () = self.api.registry().until_gone(&self.resource), if self.resource.custom => return None,
            };
            match next {
                Ok(Some(Ok(event))) => self.take(&event),
                Ok(Some(Err(lagged))) => self.fail(&lagged.to_string()),
                Ok(None) => return None,
                Err(_) => {
                    let revision = watch.revision();
                    if Instant::now() >= self.deadline {
                        self.watch = None;
                    }
                    if self.bookmarks {
                        self.push_bookmark(revision, false);
                        self.next_bookmark = Instant::now() + BOOKMARK_INTERVAL;
                    }
                }
            }
        }
    }

    fn selected(&self, object: &Object) -> bool {
        self.selector.matches(object, || view::value(&self.resource, object))
    }

    /// An object that starts to be selected is added, one that stops to be is deleted, as the client sees it.
    fn take(&mut self, event: &Event) {
        let now = event.change != Change::Deleted && self.selected(&event.object);
        let before = event.previous.as_ref().is_some_and(|previous| self.selected(previous));
        match (before, now) {
            (false, true) => self.push("ADDED", &event.object),
            (true, true) => self.push("MODIFIED", &event.object),
            (true, false) if event.change == Change::Deleted => self.push("DELETED", &event.object),
            (true, false) => self.push_last_selected(event),
            (false, false) => {}
        }
    }

    /// The state that was still selected, under the revision at which it stopped to be.
    fn push_last_selected(&mut self, event: &Event) {
        let Some(previous) = &event.previous else { return };
        let mut value = view::value(&self.resource, previous);
        value["metadata"]["resourceVersion"] = json!(event.revision.to_string());
        self.push_value("DELETED", value);
    }

    fn push(&mut self, kind: &str, object: &Object) {
        if self.shape == Shape::Object {
            let json = view::bytes(&self.resource, object);
            let mut line = Vec::with_capacity(json.len() + 40);
            line.extend_from_slice(format!("{{\"type\":\"{kind}\",\"object\":").as_bytes());
            line.extend_from_slice(&json);
            line.extend_from_slice(b"}\n");
            return self.ready.push_back(line.into());
        }
        self.push_value(kind, view::value(&self.resource, object));
    }

    fn push_value(&mut self, kind: &str, value: Value) {
        let object = match self.shape {
            Shape::Object | Shape::Aggregated => value,
            Shape::Metadata => metadata_only(&value),
            Shape::Table => {
                let metadata = json!({"resourceVersion": value["metadata"]["resourceVersion"]});
                let mut table = Tabulator::new(&self.resource, self.include).table(metadata, &[value]);
                if std::mem::replace(&mut self.columns_sent, true) {
                    table["columnDefinitions"] = Value::Null;
                }
                table
            }
        };
        self.push_line(kind, &object);
    }

    fn push_line(&mut self, kind: &str, object: &Value) {
        self.ready.push_back(format!("{}\n", json!({"type": kind, "object": object})).into());
    }

    fn push_bookmark(&mut self, revision: u64, end_of_state: bool) {
        let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if end_of_state {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = match self.shape {
            Shape::Object | Shape::Aggregated => {
                json!({"kind": self.resource.kind, "apiVersion": self.resource.api_version(), "metadata": metadata})
            }
            Shape::Metadata => json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}),
            Shape::Table => {
                let row =
                    json!({"cells": [], "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}});
                json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": revision.to_string()}, "columnDefinitions": null, "rows": [row]})
            }
        };
        self.push_line("BOOKMARK", &object);
    }

    /// Ends the watch: the client has to list again.
    fn fail(&mut self, why: &str) {
        self.watch = None;
        self.push_line("ERROR", &Status::new(410, "Expired", why).to_value());
    }
}
