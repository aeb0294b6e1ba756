//! GET of one object and of many.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use serde_json::{Value, json};

use super::negotiation::{Form, Shape};
use super::request::{Call, Query};
use super::respond::{self, Answer};
use super::routing::Target;
use super::selectors::Selector;
use super::table::{Include, Tabulator, metadata_only};
use super::{Api, view};
use crate::status::{FieldError, Status};
use crate::store::{Change, Key, Object};

const TOKEN: base64::engine::GeneralPurpose = base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Objects to answer with, at one revision.
pub(super) struct Page {
    pub revision: u64,
    pub objects: Vec<Arc<Object>>,
    /// For the next page; empty on the last.
    pub next: String,
    pub remaining: Option<usize>,
}

/// What a list asks for.
struct Plan {
    selector: Selector,
    limit: Option<usize>,
    /// Namespace and name to go on after.
    after: Option<(String, String)>,
    /// The revision the answer must show exactly.
    exactly: Option<u64>,
}

impl Api {
    /// The key of the object a request is about.
    pub(super) fn key(&self, target: &Target) -> Key {
        Key::new(target.resource.storage.clone(), target.namespace.clone(), target.name())
    }

    /// The stored object, or the error for one that is not there.
    pub(super) fn find(&self, target: &Target) -> Result<Arc<Object>, Status> {
        let resource = &target.resource;
        self.store().get(&self.key(target)).ok_or_else(|| Status::not_found(&resource.group, &resource.plural, target.name()))
    }

    /// GET of one object.
    pub(super) fn get(&self, call: &Call, target: &Target) -> Result<Answer, Status> {
        let form = Form::negotiate(call.header("accept"))?;
        self.refuse_future(call.query.integer("resourceVersion")?)?;
        let object = self.find(target)?;
        match form.shape {
            Shape::Object => Ok(respond::json(200, form.syntax, view::bytes(&target.resource, &object))),
            _ => Ok(respond::value(200, form.syntax, &shaped(call, target, form, view::value(&target.resource, &object)))),
        }
    }

    /// GET of a collection.
    pub(super) fn list(&self, call: &Call, target: &Target) -> Result<Answer, Status> {
        let form = Form::negotiate(call.header("accept"))?;
        let page = self.page(call, target)?;
        let resource = &target.resource;
        let mut metadata = json!({"resourceVersion": page.revision.to_string()});
        if !page.next.is_empty() || (resource.custom && form.shape == Shape::Object) {
            metadata["continue"] = json!(page.next);
        }
        if let Some(remaining) = page.remaining.filter(|_| !page.next.is_empty()) {
            metadata["remainingItemCount"] = json!(remaining);
        }
        match form.shape {
            Shape::Object | Shape::Aggregated => {
                let size: usize = page.objects.iter().map(|object| object.json.len() + 1).sum();
                let mut out = Vec::with_capacity(size + 256);
                out.extend_from_slice(
                    format!(
                        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{metadata},\"items\":[",
                        json!(resource.list_kind),
                        json!(resource.api_version())
                    )
                    .as_bytes(),
                );
                for (at, object) in page.objects.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    view::push_item(resource, object, &mut out);
                }
                out.extend_from_slice(b"]}\n");
                Ok(respond::json(200, form.syntax, out.into()))
            }
            Shape::Table => {
                let objects: Vec<Value> = page.objects.iter().map(|object| view::value(resource, object)).collect();
                let table = Tabulator::new(resource, Include::parse(call.query.text("includeObject"))).table(metadata, &objects);
                Ok(respond::value(200, form.syntax, &table))
            }
            Shape::Metadata => {
                let items: Vec<Value> = page.objects.iter().map(|object| metadata_only(&object.value())).collect();
                let list =
                    json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items});
                Ok(respond::value(200, form.syntax, &list))
            }
        }
    }

    /// The objects a list request asks for.
    pub(super) fn page(&self, call: &Call, target: &Target) -> Result<Page, Status> {
        let plan = self.plan(call, target)?;
        let namespace = (!target.namespace.is_empty()).then_some(target.namespace.as_str());
        let after = plan.after.as_ref().map(|(namespace, name)| (namespace.as_str(), name.as_str()));
        let storage = &target.resource.storage;
        // With a selector the limit counts what is selected, so all candidates are needed.
        let at_once = plan.selector.is_empty() && plan.exactly.is_none();
        let listing = self.store().list(storage, namespace, after, plan.limit.filter(|_| at_once));
        let (revision, mut objects) = match plan.exactly {
            Some(revision) if revision < listing.revision => (revision, self.rewind(target, listing.objects, revision, after)?),
            _ => (listing.revision, listing.objects),
        };
        let mut remaining = Some(listing.remaining);
        let mut more = listing.more;
        if !at_once {
            if !plan.selector.is_empty() {
                objects.retain(|object| plan.selector.matches(object, || view::value(&target.resource, object)));
                remaining = None;
            }
            let limit = plan.limit.unwrap_or(usize::MAX);
            more = objects.len() > limit;
            remaining = remaining.map(|_| objects.len().saturating_sub(limit));
            objects.truncate(limit);
        }
        let next = objects.last().filter(|_| more).map(|last| token(revision, &last.key)).unwrap_or_default();
        Ok(Page { revision, objects, next, remaining })
    }

    fn plan(&self, call: &Call, target: &Target) -> Result<Plan, Status> {
        let query = &call.query;
        let selector = Selector::parse(query.text("labelSelector"), query.text("fieldSelector"), &target.resource)?;
        let limit = query.integer("limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        let wanted = query.integer("resourceVersion").map_err(|_| invalid_version(query.text("resourceVersion")))?;
        let matching = query.text("resourceVersionMatch");
        check_match(query, wanted)?;
        let continued = query.text("continue");
        if !continued.is_empty() {
            if wanted.is_some_and(|wanted| wanted != 0) {
                return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
            }
            let (revision, namespace, name) = read_token(continued)?;
            return Ok(Plan { selector, limit, after: Some((namespace, name)), exactly: revision });
        }
        self.refuse_future(wanted)?;
        let exactly = match (wanted, matching) {
            (Some(wanted), "Exact") => u64::try_from(wanted).ok(),
            (Some(wanted), "") if wanted > 0 && limit.is_some() => u64::try_from(wanted).ok(),
            _ => None,
        };
        Ok(Plan { selector, limit, after: None, exactly })
    }

    /// Refuses a version that has not been reached.
    pub(super) fn refuse_future(&self, wanted: Option<i64>) -> Result<(), Status> {
        let (wanted, current) = (wanted.and_then(|wanted| u64::try_from(wanted).ok()).unwrap_or(0), self.store().revision());
        if wanted <= current {
            return Ok(());
        }
        let text = format!("Too large resource version: {wanted}, current: {current}");
        let mut status = Status::new(504, "Timeout", format!("Timeout: {text}"));
        status.details = Some(
            json!({"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}], "retryAfterSeconds": 1}),
        );
        Err(status)
    }

    /// Undoes what happened after `revision`, so that every page of a list shows the same state.
    fn rewind(
        &self,
        target: &Target,
        objects: Vec<Arc<Object>>,
        revision: u64,
        after: Option<(&str, &str)>,
    ) -> Result<Vec<Arc<Object>>, Status> {
        let namespace = (!target.namespace.is_empty()).then_some(target.namespace.as_str());
        let mut watch = self.store().watch(&target.resource.storage, namespace, revision).map_err(|_| expired(target, after))?;
        let mut events = Vec::new();
        // The ring may let go of events while they are read: a state undone by half of them is none.
        while let Some(event) = watch.try_next().map_err(|_| expired(target, after))? {
            events.push(event);
        }
        let mut state: BTreeMap<(String, String), Arc<Object>> =
            objects.into_iter().map(|object| ((object.key.namespace.clone(), object.key.name.clone()), object)).collect();
        for event in events.into_iter().rev() {
            let place = (event.object.key.namespace.clone(), event.object.key.name.clone());
            if after.is_some_and(|(namespace, name)| (place.0.as_str(), place.1.as_str()) <= (namespace, name)) {
                continue;
            }
            match (event.change, event.previous) {
                (Change::Modified | Change::Deleted, Some(previous)) => drop(state.insert(place, previous)),
                _ => drop(state.remove(&place)),
            }
        }
        Ok(state.into_values().collect())
    }
}

/// One object in the shape the client asked for.
pub(super) fn shaped(call: &Call, target: &Target, form: Form, object: Value) -> Value {
    match form.shape {
        Shape::Object | Shape::Aggregated => object,
        Shape::Metadata => metadata_only(&object),
        Shape::Table => {
            let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
            Tabulator::new(&target.resource, Include::parse(call.query.text("includeObject"))).table(metadata, &[object])
        }
    }
}

fn check_match(query: &Query, wanted: Option<i64>) -> Result<(), Status> {
    let matching = query.text("resourceVersionMatch");
    let error = match (matching, wanted) {
        ("", _) => return Ok(()),
        ("Exact" | "NotOlderThan", None) => "resourceVersionMatch is forbidden unless resourceVersion is provided",
        ("Exact", Some(0)) => "resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"",
        ("Exact" | "NotOlderThan", Some(_)) if !query.text("continue").is_empty() => {
            "resourceVersionMatch is forbidden when continue is provided"
        }
        ("Exact" | "NotOlderThan", Some(_)) => return Ok(()),
        (other, _) => {
            let error = super::request::unsupported("resourceVersionMatch", other, &["Exact", "NotOlderThan", ""]);
            return Err(Status::invalid("meta.k8s.io", "ListOptions", "", &[error]));
        }
    };
    Err(Status::invalid("meta.k8s.io", "ListOptions", "", &[FieldError::forbidden("resourceVersionMatch", error)]))
}

pub(super) fn invalid_version(text: &str) -> Status {
    Status::bad_request(format!("Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"))
}

/// Where the next page begins, and the revision it must show.
fn token(revision: u64, last: &Key) -> String {
    let start = if last.namespace.is_empty() { format!("{}\0", last.name) } else { format!("{}/{}\0", last.namespace, last.name) };
    TOKEN.encode(json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start}).to_string())
}

/// Revision, namespace and name of a token; no revision stands for whatever is there now.
fn read_token(text: &str) -> Result<(Option<u64>, String, String), Status> {
    let bad = |why: &str| Status::bad_request(format!("continue key is not valid: {why}"));
    let json = TOKEN.decode(text.trim_end_matches('=')).map_err(|cause| bad(&cause.to_string()))?;
    let token: Value = respond::parse(&json).ok_or_else(|| bad("it is no token of this server"))?;
    if token["v"] != "meta.k8s.io/v1" {
        return Err(bad("server does not recognize this encoded version"));
    }
    let start = token["start"].as_str().ok_or_else(|| bad("it names no place to continue at"))?.trim_end_matches('\0');
    let (namespace, name) = start.split_once('/').unwrap_or(("", start));
    let revision = token["rv"].as_i64().and_then(|revision| u64::try_from(revision).ok());
    Ok((revision, namespace.to_owned(), name.to_owned()))
}

/// 410 for a page of a state that is forgotten, with a token to go on at the present state; or for an exact version that is.
fn expired(target: &Target, after: Option<(&str, &str)>) -> Status {
    let Some((namespace, name)) = after else {
        return Status::new(410, "Expired", "The resourceVersion for the provided list is too old.");
    };
    let key = Key::new(target.resource.storage.clone(), namespace, name);
    let start = if key.namespace.is_empty() { format!("{}\0", key.name) } else { format!("{}/{}\0", key.namespace, key.name) };
    let token = TOKEN.encode(json!({"v": "meta.k8s.io/v1", "rv": -1, "start": start}).to_string());
    let mut status = Status::new(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    // Where the answer is written this moves to the metadata, where clients look for it.
    status.details = Some(json!({"continue": token}));
    status
}
