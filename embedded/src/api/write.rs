//! POST and PUT, and the way every changed object takes to the store.

use std::sync::Arc;

use serde_json::{Value, json};

use super::metadata::{self, check_place};
use super::negotiation::Form;
use super::policies::Admission;
use super::read::shaped;
use super::request::Call;
use super::respond::{self, Answer};
use super::routing::Target;
use super::{Api, crd, kinds, view};
use crate::fields::{self, Writer};
use crate::policy::Operation;
use crate::resource::Resource;
use crate::status::Status;
use crate::store::{Key, Object, Write, WriteError, is_deeper_than};

/// How often a write is tried again on a state that changed meanwhile.
const ATTEMPTS: usize = 32;
/// How many generated names are tried.
const NAMES: usize = 8;

/// Who owns the fields a write sets.
pub(super) struct Ownership {
    pub manager: String,
    pub subresource: String,
    /// The object already says who owns what: it was applied.
    pub settled: bool,
}

impl Ownership {
    pub fn of(call: &Call, target: &Target) -> Self {
        Self { manager: call.manager(), subresource: target.subresource.clone(), settled: false }
    }
}

/// What became of a write.
pub(super) struct Written {
    pub object: Value,
    pub created: bool,
}

impl Api {
    /// POST to a collection.
    pub(super) async fn create(&self, call: &Call, target: &Target) -> Result<Answer, Status> {
        call.check_write_options("CreateOptions")?;
        let resource = &target.resource;
        let form = Form::negotiate(call.header("accept"))?;
        let object = self.decode_object(call, resource)?;
        let warnings = self.check_fields(call, resource, &object)?;
        metadata::check_namespace(&object, &target.namespace)?;
        let object = self.create_object(call, target, object, &Ownership::of(call, target)).await?;
        let mut answer = respond::value(201, form.syntax, &shaped(call, target, form, object));
        respond::warn(&mut answer, &warnings);
        Ok(answer)
    }

    /// Brings a new object through all rules into the store.
    pub(super) async fn create_object(
        &self,
        call: &Call,
        target: &Target,
        mut object: Value,
        ownership: &Ownership,
    ) -> Result<Value, Status> {
        let resource = &target.resource;
        refuse_depth(&object)?;
        if !metadata::text(&object, "resourceVersion").is_empty() {
            return Err(Status::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        if self.is_ending(resource) {
            return Err(Status::new(405, "MethodNotAllowed", "create not allowed while custom resource definition is terminating"));
        }
        if resource.namespaced {
            self.check_namespace_open(target, &object)?;
        }
        if resource.status
            && let Some(members) = object.as_object_mut()
        {
            members.remove("status");
        }
        let generated = metadata::generate_name(&mut object);
        metadata::begin(resource, &target.namespace, &mut object);
        self.complete(resource, &mut object);
        self.refuse_escalation(&call.user, resource, None, &object)?;
        let _turn = self.take_turn(resource).await;
        self.admit_new(target, &mut object)?;
        kinds::take_server_parts(resource, &mut object);
        let empty = crate::builtin::zero_object(resource);
        self.settle_fields(resource, Some(&empty).filter(|_| !resource.custom), &mut object, ownership);
        crate::builtin::default_object(resource, &mut object);
        kinds::prepare_new(resource, &mut object);
        self.observe_policy(target, &mut object);
        self.validate(resource, &object, None)?;
        let name = if generated { "" } else { metadata::text(&object, "name") };
        let admission = Admission { operation: Operation::Create, object: Some(&object), old: None, name, dry_run: call.dry_run() };
        self.admit(call, target, &admission)?;
        if call.dry_run() {
            let taken = self.store().get(&key_of(resource, &object)).is_some();
            return if taken { Err(self.exists(resource, &object)) } else { Ok(object) };
        }
        for _ in 0..NAMES {
            match self.store().write(Write::Create { key: key_of(resource, &object), value: object.clone() }).await {
                Ok(stored) => {
                    let value = view::value(resource, &stored);
                    self.after_write(resource, None, &stored).await?;
                    return Ok(value);
                }
                Err(WriteError::Exists) if generated => {
                    metadata::of(&mut object).remove("name");
                    metadata::generate_name(&mut object);
                }
                Err(WriteError::Exists) => break,
                Err(error) => return Err(write_error(resource, &object, &error)),
            }
        }
        Err(self.exists(resource, &object))
    }

    fn exists(&self, resource: &Resource, object: &Value) -> Status {
        Status::already_exists(&resource.group, &resource.plural, metadata::text(object, "name"))
    }

    /// Nothing new comes into a namespace that is not there or is going.
    fn check_namespace_open(&self, target: &Target, object: &Value) -> Result<(), Status> {
        let namespace = &target.namespace;
        let Some(found) = self.store().get(&Key::new("namespaces", "", namespace.as_str())) else {
            return Err(Status::not_found("", "namespaces", namespace));
        };
        if found.value()["status"]["phase"] != "Terminating" {
            return Ok(());
        }
        let resource = &target.resource;
        let name = metadata::text(object, "name");
        let qualified = super::qualified(&resource.plural, &resource.group);
        let text = format!(
            "{qualified} {name:?} is forbidden: unable to create new content in namespace {namespace} because it is being terminated"
        );
        let mut status = Status::new(403, "Forbidden", text).about(&resource.group, &resource.plural, name);
        if let Some(details) = status.details.as_mut() {
            let message = format!("namespace {namespace} is being terminated");
            details["causes"] = json!([{"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}]);
        }
        Err(status)
    }

    /// PUT of one object, or of its status.
    pub(super) async fn replace(&self, call: &Call, target: &Target) -> Result<Answer, Status> {
        call.check_write_options("UpdateOptions")?;
        let resource = &target.resource;
        let form = Form::negotiate(call.header("accept"))?;
        let sent = self.decode_object(call, resource)?;
        let warnings = self.check_fields(call, resource, &sent)?;
        check_place(&sent, target.name(), &target.namespace)?;
        if target.subresource.is_empty() && kinds::may_create_by_put(resource) && self.store().get(&self.key(target)).is_none() {
            let mut new = sent.clone();
            metadata::of(&mut new).remove("resourceVersion");
            self.demand_create(call, target)?;
            let object = self.create_object(call, target, new, &Ownership::of(call, target)).await?;
            return Ok(respond::value(201, form.syntax, &shaped(call, target, form, object)));
        }
        let written =
            self.change(call, target, &Ownership::of(call, target), |old| check_put(resource, old, &sent).map(|()| sent.clone())).await?;
        let mut answer = respond::value(200, form.syntax, &shaped(call, target, form, written.object));
        respond::warn(&mut answer, &warnings);
        Ok(answer)
    }

    /// Changes an object: `propose` makes the new state of the present one, and is asked again where that changed meanwhile.
    ///
    /// A proposal that carries another resourceVersion than the present state's is a conflict.
    pub(super) async fn change(
        &self,
        call: &Call,
        target: &Target,
        ownership: &Ownership,
        propose: impl Fn(&Value) -> Result<Value, Status> + Send + Sync,
    ) -> Result<Written, Status> {
        let resource = &target.resource;
        let (group, plural, name) = (&resource.group, &resource.plural, target.name());
        for _ in 0..ATTEMPTS {
            let _turn = self.take_turn(resource).await;
            let present = self.find(target)?;
            let old = view::value(resource, &present);
            let proposed = propose(&old)?;
            let wanted = metadata::text(&proposed, "resourceVersion");
            if !wanted.is_empty() && wanted != metadata::text(&old, "resourceVersion") {
                return Err(Status::modified(group, plural, name));
            }
            let new = self.next_state(target, &old, proposed, ownership)?;
            self.refuse_escalation(&call.user, resource, Some(&old), &new)?;
            self.admit_update(call, target, ownership, &old, &new)?;
            if call.dry_run() {
                return Ok(Written { object: new, created: false });
            }
            if new == old {
                return Ok(Written { object: old, created: false });
            }
            if kinds::is_finished(resource, &new) {
                match self.remove(resource, &present).await {
                    Ok(()) => return Ok(Written { object: new, created: false }),
                    Err(WriteError::Conflict) => continue,
                    Err(error) => return Err(write_error(resource, &new, &error)),
                }
            }
            let write = Write::Update { key: present.key.clone(), expected: present.revision, value: new };
            match self.store().write(write).await {
                Ok(stored) => {
                    let value = view::value(resource, &stored);
                    self.after_write(resource, Some(&old), &stored).await?;
                    return Ok(Written { object: value, created: false });
                }
                Err(WriteError::Conflict) => {}
                Err(error) => return Err(write_error(resource, &old, &error)),
            }
        }
        Err(Status::modified(group, plural, name))
    }

    /// Asks policies about a change. A `Binding` changes a pod, but what is asked for is the binding.
    fn admit_update(&self, call: &Call, target: &Target, ownership: &Ownership, old: &Value, new: &Value) -> Result<(), Status> {
        if ownership.subresource == "binding" {
            return Ok(());
        }
        let dry_run = call.dry_run();
        self.admit(
            call,
            target,
            &Admission { operation: Operation::Update, object: Some(new), old: Some(old), name: target.name(), dry_run },
        )
    }

    /// The state that follows from what was proposed: what the endpoint may not change is as before, the rest is complete and valid.
    pub(super) fn next_state(&self, target: &Target, old: &Value, proposed: Value, ownership: &Ownership) -> Result<Value, Status> {
        let resource = &target.resource;
        let mut new = proposed;
        refuse_depth(&new)?;
        check_place(&new, target.name(), &target.namespace)?;
        let sent = new["metadata"].clone();
        self.complete(resource, &mut new);
        kinds::confine(resource, &target.subresource, old, &mut new);
        metadata::carry_over(old, &mut new);
        self.admit_change(target, old, &mut new)?;
        self.settle_fields(resource, Some(old), &mut new, ownership);
        metadata::count_generation(resource, old, &mut new);
        self.observe_policy(target, &mut new);
        check_identity(target, old, &sent)?;
        self.validate(resource, &new, Some(old))?;
        Ok(new)
    }

    /// POST of a `Binding`: the pod runs on that node from now on.
    pub(super) async fn bind(&self, call: &Call, target: &Target) -> Result<Answer, Status> {
        let binding = super::admission::decode_body(call, "Binding")?;
        let node = binding["target"]["name"].as_str().unwrap_or_default().to_owned();
        if node.is_empty() {
            let error = crate::status::FieldError::required("target.name", "");
            return Err(Status::invalid("", "Binding", target.name(), &[error]));
        }
        self.admit_body(call, target, Operation::Create, &binding)?;
        let pod = Target { subresource: String::new(), ..target.clone() };
        let ownership = Ownership { subresource: "binding".to_owned(), ..Ownership::of(call, target) };
        self.change(call, &pod, &ownership, |old| {
            let present = old["spec"]["nodeName"].as_str().unwrap_or_default();
            if !present.is_empty() && present != node {
                return Err(Status::conflict(
                    "",
                    "pods/binding",
                    target.name(),
                    &format!("pod {} is already assigned to node {present:?}", target.name()),
                ));
            }
            let mut new = old.clone();
            new["spec"]["nodeName"] = json!(node);
            Ok(new)
        })
        .await?;
        Ok(respond::value(
            201,
            super::negotiation::Syntax::Json,
            &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}),
        ))
    }

    /// Writes down who owns the fields that changed.
    fn settle_fields(&self, resource: &Resource, old: Option<&Value>, new: &mut Value, ownership: &Ownership) {
        if ownership.settled {
            if let Some(old) = old {
                fields::keep_times(old, new);
            }
            return;
        }
        let (version, time) = (resource.api_version(), metadata::now());
        let writer = Writer { manager: &ownership.manager, api_version: &version, subresource: &ownership.subresource, time: &time };
        fields::update(resource.schema(), old, new, &writer);
        if ownership.subresource == "scale" {
            super::scale::forget_time(&ownership.manager, new);
        }
    }

    /// Deletes for good.
    pub(super) async fn remove(&self, resource: &Resource, present: &Arc<Object>) -> Result<(), WriteError> {
        self.store().write(Write::Delete { key: present.key.clone(), expected: present.revision }).await?;
        self.after_delete(resource, present).await;
        Ok(())
    }

    /// What the server itself does once an object is written: a definition brings its kind.
    async fn after_write(&self, resource: &Resource, old: Option<&Value>, stored: &Arc<Object>) -> Result<(), Status> {
        if crd::is_definition(resource) {
            self.definition_written(old, &stored.value()).await?;
        }
        Ok(())
    }
}

/// Levels of lists and objects an object may have. Who owns its fields is written down in as many and a few more; all of it must stay
/// below the 128 levels that readers of JSON take.
const DEEPEST: usize = 100;

fn refuse_depth(object: &Value) -> Result<(), Status> {
    if !is_deeper_than(object, DEEPEST) {
        return Ok(());
    }
    Err(Status::bad_request(format!(
        "the object is nested deeper than {DEEPEST} levels, which not every client could read back; make it flatter"
    )))
}

/// Where an object is stored.
pub(super) fn key_of(resource: &Resource, object: &Value) -> Key {
    let namespace = if resource.namespaced { metadata::text(object, "namespace") } else { "" };
    Key::new(resource.storage.clone(), namespace, metadata::text(object, "name"))
}

/// A failed write in the words of the API.
pub(super) fn write_error(resource: &Resource, object: &Value, error: &WriteError) -> Status {
    let name = metadata::text(object, "name");
    let (group, plural) = (&resource.group, &resource.plural);
    match error {
        WriteError::Exists => Status::already_exists(group, plural, name),
        WriteError::Missing => Status::not_found(group, plural, name),
        WriteError::Conflict => Status::modified(group, plural, name),
        WriteError::Refused(why) => Status::bad_request(why.as_str()),
        WriteError::Damaged(_) => Status::internal(error),
        WriteError::Closed => Status::new(503, "ServiceUnavailable", error.to_string()),
    }
}

/// Some kinds must be sent with the version they were read in.
fn check_put(resource: &Resource, old: &Value, sent: &Value) -> Result<(), Status> {
    if !metadata::text(sent, "resourceVersion").is_empty() || kinds::may_put_blindly(resource) {
        return Ok(());
    }
    let error = crate::status::FieldError::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update");
    Err(Status::invalid(&resource.group, &resource.plural, metadata::text(old, "name"), &[error]))
}

/// Refuses to replace an object by another of the same name.
fn check_identity(target: &Target, old: &Value, sent: &Value) -> Result<(), Status> {
    let (given, present) = (sent["uid"].as_str().unwrap_or_default(), metadata::text(old, "uid"));
    if given.is_empty() || given == present {
        return Ok(());
    }
    let resource = &target.resource;
    let place = [resource.storage.as_str(), &target.namespace, target.name()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("/");
    let detail = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{place}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {given}, UID in object meta: {present}"
    );
    Err(Status::conflict(&resource.group, &resource.plural, target.name(), &detail))
}
