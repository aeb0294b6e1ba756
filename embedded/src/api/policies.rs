//! Admission policies on the way of a write: what they are asked, and what the cluster tells them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::authorize::{Attributes, Authorizer, Decision};
use super::metadata;
use super::request::Call;
use super::routing::Target;
use super::{Api, kinds, scale, view};
use crate::policy::{self, Cluster, Operation, Request};
use crate::resource::Resource;
use crate::schema::{Authority, Question};
use crate::status::Status;
use crate::store::Key;
use crate::user::User;

/// What is written, as policies see it.
pub(super) struct Admission<'a> {
    pub operation: Operation,
    pub object: Option<&'a Value>,
    pub old: Option<&'a Value>,
    /// The name in the request.
    pub name: &'a str,
    /// Whether nothing is stored, also where the body says so.
    pub dry_run: bool,
}

impl Api {
    /// Refuses what a policy refuses. What policies warn of, the answer carries.
    pub(super) fn admit(&self, call: &Call, target: &Target, admission: &Admission) -> Result<(), Status> {
        let policies = self.0.policies.policies(self.store());
        if policies.is_empty() || call.own {
            return Ok(());
        }
        let resource = &target.resource;
        let carried = carried(target);
        // A subresource of another kind shows what it shows, not the object behind it.
        let shown = |object: Option<&Value>| match (target.subresource.as_str(), &resource.scale) {
            ("scale", Some(paths)) => object.map(|object| scale::scale_of(paths, object)),
            _ => object.cloned(),
        };
        let (object, old) = (shown(admission.object), shown(admission.old));
        let is_namespace = kinds::is_core(resource, "Namespace");
        let request = Request {
            operation: admission.operation,
            resource,
            subresource: &target.subresource,
            carries: carried,
            namespace: if is_namespace { namespace_name(admission) } else { &target.namespace },
            name: admission.name,
            object: object.as_ref(),
            old: old.as_ref(),
            user: &call.user,
            dry_run: admission.dry_run,
            options: &options(call, admission),
        };
        let verdict = policies.judge(&request, self);
        call.warn(verdict.warnings);
        verdict.refusal.map_or(Ok(()), Err)
    }

    /// The same for a request to a subresource that changes no object by itself: its body is the object.
    pub(super) fn admit_body(&self, call: &Call, target: &Target, operation: Operation, body: &Value) -> Result<(), Status> {
        let admission = Admission { operation, object: Some(body), old: None, name: target.name(), dry_run: call.dry_run() };
        self.admit(call, target, &admission)
    }

    /// The same for a connection to a pod; what is asked of it stands in the query.
    pub(super) fn admit_connection(&self, call: &Call, target: &Target) -> Result<(), Status> {
        if self.0.policies.policies(self.store()).is_empty() {
            return Ok(());
        }
        let kind = carried(target).map(|kind| kind.kind).unwrap_or_default();
        let mut options = json!({"kind": kind, "apiVersion": "v1"});
        for key in ["stdin", "stdout", "stderr", "tty"] {
            if call.query.flag(key) {
                options[key] = json!(true);
            }
        }
        if let Some(container) = call.query.get("container") {
            options["container"] = json!(container);
        }
        let command: Vec<&str> = call.query.all("command").collect();
        if !command.is_empty() {
            options["command"] = json!(command);
        }
        self.admit_body(call, target, Operation::Connect, &options)
    }

    /// Fills in the status of a policy that is written.
    pub(super) fn observe_policy(&self, target: &Target, object: &mut Value) {
        let resource = &target.resource;
        if resource.group != policy::GROUP || resource.kind != policy::POLICY || !target.subresource.is_empty() {
            return;
        }
        policy::observe(object, self.kinds().all());
    }
}

/// A namespace lies in itself.
fn namespace_name<'a>(admission: &'a Admission) -> &'a str {
    let of = |object: Option<&'a Value>| object.map(|object| metadata::text(object, "name"));
    of(admission.object).or_else(|| of(admission.old)).unwrap_or(admission.name)
}

/// The kind a subresource carries where that is not the kind of the object.
fn carried(target: &Target) -> Option<policy::ObjectKind> {
    let kind =
        |group: &str, kind: &str| Some(policy::ObjectKind { group: group.to_owned(), version: "v1".to_owned(), kind: kind.to_owned() });
    match target.subresource.as_str() {
        "scale" => kind("autoscaling", "Scale"),
        "eviction" => kind("policy", "Eviction"),
        "binding" => kind("", "Binding"),
        "token" => kind("authentication.k8s.io", "TokenRequest"),
        "exec" => kind("", "PodExecOptions"),
        "attach" => kind("", "PodAttachOptions"),
        "portforward" => kind("", "PodPortForwardOptions"),
        _ => None,
    }
}

/// `request.options`.
fn options(call: &Call, admission: &Admission) -> Value {
    let kind = match admission.operation {
        Operation::Create => "CreateOptions",
        // Of a patch too: it asks for an update.
        Operation::Update => "UpdateOptions",
        Operation::Delete => "DeleteOptions",
        Operation::Connect => return Value::Null,
    };
    let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
    if admission.dry_run {
        options["dryRun"] = json!(["All"]);
    }
    if admission.operation == Operation::Delete {
        let body = super::respond::parse(&call.body).unwrap_or_default();
        for key in ["gracePeriodSeconds", "propagationPolicy", "orphanDependents", "preconditions"] {
            if !body[key].is_null() {
                options[key] = body[key].clone();
            }
        }
        return options;
    }
    for key in ["fieldManager", "fieldValidation"] {
        if let Some(value) = call.query.get(key) {
            options[key] = json!(value);
        }
    }
    options
}

impl Cluster for Api {
    fn namespace(&self, name: &str) -> Option<Value> {
        self.store().get(&Key::new("namespaces", "", name)).map(|object| object.value())
    }

    fn params(&self, resource: &Resource, namespace: Option<&str>) -> Vec<Value> {
        let found = self.store().list(&resource.storage, namespace, None, None);
        found.objects.iter().map(|object| view::value(resource, object)).collect()
    }

    fn param(&self, resource: &Resource, namespace: Option<&str>, name: &str) -> Option<Value> {
        let key = Key::new(resource.storage.clone(), namespace.unwrap_or_default(), name);
        self.store().get(&key).map(|object| view::value(resource, &object))
    }

    fn kind(&self, group: &str, version: &str, kind: &str) -> Option<Arc<Resource>> {
        self.kinds().of(group, version).find(|resource| resource.kind == kind).cloned()
    }

    fn equivalents(&self, resource: &Resource) -> Vec<Arc<Resource>> {
        let other = |other: &&Arc<Resource>| {
            other.storage == resource.storage && (&other.group, &other.version) != (&resource.group, &resource.version)
        };
        self.kinds().all().filter(other).cloned().collect()
    }

    fn converted(&self, resource: &Resource, object: &Value) -> Value {
        view::converted(resource, object.clone())
    }

    fn authority(&self, user: &User) -> Arc<dyn Authority> {
        Arc::new(Answers { authorizer: self.authorizer(), user: user.clone() })
    }
}

/// What the user of a request may do.
struct Answers {
    authorizer: Arc<dyn Authorizer>,
    user: User,
}

impl Authority for Answers {
    fn decide(&self, question: &Question) -> (bool, String) {
        let account = question.service_account.as_ref().map(|(namespace, name)| User::service_account(namespace, name, ""));
        let user = account.as_ref().unwrap_or(&self.user);
        let attributes = match &question.path {
            Some(path) => Attributes { verb: question.verb.clone(), path: path.clone(), ..Attributes::default() },
            None => Attributes {
                verb: question.verb.clone(),
                group: question.group.clone(),
                version: "*".to_owned(),
                resource: question.resource.clone(),
                subresource: question.subresource.clone(),
                namespace: question.namespace.clone(),
                name: question.name.clone(),
                path: String::new(),
            },
        };
        match self.authorizer.authorize(user, &attributes) {
            Decision::Allow(reason) => (true, reason),
            Decision::Deny(reason) => (false, reason),
        }
    }
}
