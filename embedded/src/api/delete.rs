//! DELETE of one object and of many.

use std::sync::Arc;

use serde_json::{Value, json};

use super::admission::decode_body;
use super::negotiation::Form;
use super::policies::Admission;
use super::read::shaped;
use super::request::Call;
use super::respond::{self, Answer};
use super::routing::Target;
use super::write::write_error;
use super::{Api, crd, kinds, metadata, view};
use crate::policy::Operation;
use crate::resource::Resource;
use crate::status::{FieldError, Status};
use crate::store::{Object, Write, WriteError};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";
/// How often a deletion is tried again on an object that changed meanwhile.
const ATTEMPTS: usize = 32;

/// What becomes of the objects that belong to a deleted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// `DeleteOptions`.
#[derive(Debug, Default, Clone)]
struct Options {
    grace: Option<i64>,
    propagation: Option<Propagation>,
    uid: Option<String>,
    version: Option<String>,
    dry_run: bool,
}

/// Who asks for a deletion, and by which name.
struct Asked<'a> {
    call: &'a Call,
    name: &'a str,
}

/// What became of an object.
enum Outcome {
    Gone(Value),
    Going(Value),
}

impl Options {
    fn of(call: &Call) -> Result<Self, Status> {
        let body = if call.body.is_empty() { json!({}) } else { decode_body(call, "DeleteOptions")? };
        let text = |key: &str| {
            body[key].as_str().map(str::to_owned).or_else(|| call.query.get(key).map(str::to_owned)).filter(|text| !text.is_empty())
        };
        let orphans =
            body["orphanDependents"].as_bool().or_else(|| call.query.get("orphanDependents").map(|_| call.query.flag("orphanDependents")));
        let policy = text("propagationPolicy");
        if policy.is_some() && orphans.is_some() {
            let error =
                FieldError::invalid("propagationPolicy", &json!(policy), "orphanDependents and deletionPropagation cannot be both set");
            return Err(Status::invalid("", "DeleteOptions", "", &[error]));
        }
        let propagation = match (policy.as_deref(), orphans) {
            (Some("Background"), _) | (None, Some(false)) => Some(Propagation::Background),
            (Some("Foreground"), _) => Some(Propagation::Foreground),
            (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
            (None, None) => None,
            (Some(other), _) => {
                let error = super::request::unsupported("propagationPolicy", other, &["Foreground", "Background", "Orphan", "nil"]);
                return Err(Status::invalid("", "DeleteOptions", "", &[error]));
            }
        };
        let condition = |key: &str| body["preconditions"][key].as_str().map(str::to_owned);
        let grace = match body["gracePeriodSeconds"].as_i64() {
            Some(grace) => Some(grace),
            None => call.query.integer("gracePeriodSeconds")?,
        };
        let dry_run = call.dry_run() || body["dryRun"].as_array().is_some_and(|modes| !modes.is_empty());
        Ok(Self { grace, propagation, uid: condition("uid"), version: condition("resourceVersion"), dry_run })
    }

    fn check(&self, resource: &Resource, object: &Value) -> Result<(), Status> {
        let conflict = |detail: String| {
            let name = metadata::text(object, "name");
            let text = format!("Operation cannot be fulfilled on {} {name:?}: {detail}", super::qualified(&resource.kind, &resource.group));
            Err(Status::new(409, "Conflict", text).about(&resource.group, &resource.kind, name))
        };
        let (uid, version) = (metadata::text(object, "uid"), metadata::text(object, "resourceVersion"));
        if let Some(wanted) = self.uid.as_deref().filter(|wanted| *wanted != uid) {
            return conflict(format!(
                "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
            ));
        }
        if let Some(wanted) = self.version.as_deref().filter(|wanted| *wanted != version) {
            return conflict(format!(
                "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). The object might have been modified"
            ));
        }
        Ok(())
    }
}

impl Api {
    pub(super) async fn delete(&self, call: &Call, target: &Target) -> Result<Answer, Status> {
        let form = Form::negotiate(call.header("accept"))?;
        let options = Options::of(call)?;
        let asked = Asked { call, name: target.name() };
        let outcome = self.delete_object(target, &options, Some(&asked)).await?;
        let resource = &target.resource;
        let gone = match outcome {
            Outcome::Gone(object) if !kinds::shows_what_it_deleted(resource) => object,
            Outcome::Gone(object) | Outcome::Going(object) => {
                return Ok(respond::value(200, form.syntax, &shaped(call, target, form, object)));
            }
        };
        let mut details = json!({"name": target.name(), "kind": resource.plural, "uid": gone["metadata"]["uid"]});
        if !resource.group.is_empty() {
            details["group"] = json!(resource.group);
        }
        let success = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
        Ok(respond::value(200, form.syntax, &success))
    }

    /// DELETE of a collection: each object on its own, those gone meanwhile passed over.
    pub(super) async fn delete_collection(&self, call: &Call, target: &Target) -> Result<Answer, Status> {
        let form = Form::negotiate(call.header("accept"))?;
        let options = Options::of(call)?;
        let page = self.page(call, target)?;
        let resource = &target.resource;
        let mut items = Vec::new();
        for object in page.objects {
            let one = Target { name: Some(object.key.name.clone()), namespace: object.key.namespace.clone(), ..target.clone() };
            // The request names none of them, and policies are told so.
            match self.delete_object(&one, &options, Some(&Asked { call, name: "" })).await {
                Ok(Outcome::Gone(mut value) | Outcome::Going(mut value)) => {
                    if !resource.custom
                        && let Some(members) = value.as_object_mut()
                    {
                        members.remove("apiVersion");
                        members.remove("kind");
                    }
                    items.push(value);
                }
                Err(status) if status.code == 404 => {}
                Err(status) => return Err(status),
            }
        }
        let mut list = json!({"kind": resource.list_kind, "apiVersion": resource.api_version(), "metadata": {"resourceVersion": page.revision.to_string()}, "items": items});
        if resource.custom {
            list["metadata"]["continue"] = json!("");
        }
        Ok(respond::value(200, form.syntax, &list))
    }

    /// Deletes objects one by one; those gone meanwhile are passed over.
    pub(super) async fn delete_all(&self, resource: &Arc<Resource>, objects: &[Arc<Object>]) -> Result<(), Status> {
        for object in objects {
            let target = Target {
                resource: resource.clone(),
                namespace: object.key.namespace.clone(),
                name: Some(object.key.name.clone()),
                subresource: String::new(),
            };
            match self.delete_object(&target, &Options::default(), None).await {
                Ok(_) => {}
                Err(status) if status.code == 404 => {}
                Err(status) => return Err(status),
            }
        }
        Ok(())
    }

    /// POST of an `Eviction`: a deletion of the pod, if its disruption budget allows it.
    pub(super) async fn evict(&self, call: &Call, target: &Target) -> Result<Answer, Status> {
        let eviction = decode_body(call, "Eviction")?;
        let inner = Call::new(http::Request::new(eviction["deleteOptions"].to_string().into()), &call.user);
        let mut options = if eviction["deleteOptions"].is_object() { Options::of(&inner)? } else { Options::default() };
        options.dry_run |= call.dry_run();
        let pod = Target { subresource: String::new(), ..target.clone() };
        self.admit_body(call, target, Operation::Create, &eviction)?;
        self.allow_eviction(&pod, options.dry_run).await?;
        self.delete_object(&pod, &options, None).await?;
        Ok(respond::value(
            201,
            super::negotiation::Syntax::Json,
            &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}),
        ))
    }

    async fn delete_object(&self, target: &Target, options: &Options, asked: Option<&Asked<'_>>) -> Result<Outcome, Status> {
        let resource = &target.resource;
        for _ in 0..ATTEMPTS {
            let present = self.find(target)?;
            let old = view::value(resource, &present);
            options.check(resource, &old)?;
            self.admit_deletion(target, options, asked, &old)?;
            let new = next_state(resource, &old, options);
            if options.dry_run {
                return Ok(if kinds::is_finished(resource, &new) { Outcome::Gone(old) } else { Outcome::Going(new) });
            }
            let result = if kinds::is_finished(resource, &new) {
                self.remove(resource, &present).await.map(|()| Outcome::Gone(new))
            } else if new == old {
                if crd::is_definition(resource) {
                    self.definition_going(&old);
                }
                return Ok(Outcome::Going(old));
            } else {
                self.mark(resource, &present, new).await
            };
            match result {
                Ok(outcome) => return Ok(outcome),
                Err(WriteError::Conflict) => {}
                Err(error) => return Err(write_error(resource, &old, &error)),
            }
        }
        Err(Status::modified(&resource.group, &resource.plural, target.name()))
    }

    /// Asks policies, unless the server does it of itself or the object is on its way out already.
    fn admit_deletion(&self, target: &Target, options: &Options, asked: Option<&Asked<'_>>, old: &Value) -> Result<(), Status> {
        let resource = &target.resource;
        let takes_time = kinds::is_core(resource, "Pod") || kinds::is_core(resource, "Namespace") || crd::is_definition(resource);
        let Some(asked) = asked.filter(|_| !(takes_time && metadata::is_deleting(old))) else { return Ok(()) };
        let (name, dry_run) = (asked.name, options.dry_run);
        self.admit(asked.call, target, &Admission { operation: Operation::Delete, object: None, old: Some(old), name, dry_run })
    }

    /// Writes that the object is to be deleted.
    async fn mark(&self, resource: &Resource, present: &Arc<Object>, new: Value) -> Result<Outcome, WriteError> {
        let stored = self.store().write(Write::Update { key: present.key.clone(), expected: present.revision, value: new }).await?;
        let value = view::value(resource, &stored);
        if crd::is_definition(resource) {
            self.definition_going(&value);
        }
        Ok(Outcome::Going(value))
    }
}

/// The object as its deletion leaves it: with the time of deletion and what has to be waited for.
fn next_state(resource: &Resource, old: &Value, options: &Options) -> Value {
    let mut new = old.clone();
    set_finalizers(&mut new, options.propagation);
    if crd::is_definition(resource) {
        crd::hold_until_cleaned(&mut new);
    }
    let grace = grace_period(resource, old, options.grace);
    if !metadata::is_deleting(old) {
        let metadata = metadata::of(&mut new);
        metadata.insert("deletionTimestamp".into(), json!(metadata::later(grace)));
        // Namespaces and definitions take their own way out and know no grace.
        if kinds::is_core(resource, "Namespace") {
            new["status"]["phase"] = json!("Terminating");
        } else if !crd::is_definition(resource) {
            metadata.insert("deletionGracePeriodSeconds".into(), json!(grace));
            metadata::bump_generation(&mut new);
        }
        return new;
    }
    let before = old["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    if options.grace.is_some() && grace < before {
        let metadata = metadata::of(&mut new);
        metadata.insert("deletionTimestamp".into(), json!(metadata::later(grace)));
        metadata.insert("deletionGracePeriodSeconds".into(), json!(grace));
    }
    new
}

/// The garbage collector does what these finalizers say, then takes them away.
fn set_finalizers(object: &mut Value, propagation: Option<Propagation>) {
    let Some(propagation) = propagation else { return };
    let wanted = match propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Orphan => Some(ORPHAN),
    };
    let present = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let mut finalizers: Vec<Value> = present
        .iter()
        .filter(|name| (*name != ORPHAN && *name != FOREGROUND) || wanted.is_some_and(|wanted| *name == wanted))
        .cloned()
        .collect();
    if let Some(wanted) = wanted.filter(|wanted| !finalizers.iter().any(|name| name == wanted)) {
        finalizers.push(json!(wanted));
    }
    if finalizers == present {
        return;
    }
    let metadata = metadata::of(object);
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".into(), Value::Array(finalizers));
    }
}

/// Only pods that run somewhere are given time to end.
fn grace_period(resource: &Resource, object: &Value, wanted: Option<i64>) -> i64 {
    if !kinds::is_core(resource, "Pod") {
        return 0;
    }
    let unscheduled = object["spec"]["nodeName"].as_str().unwrap_or_default().is_empty();
    if unscheduled || matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return 0;
    }
    let own = object["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    match wanted.unwrap_or(own) {
        negative if negative < 0 => 1,
        grace => grace,
    }
}
