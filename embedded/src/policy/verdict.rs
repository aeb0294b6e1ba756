//! What follows from all policies for one request.

use serde_json::{Value, json};

use super::catalogue::Policies;
use super::definition::{Action, Binding, OnFailure, Policy};
use super::evaluate::{Finding, evaluate};
use super::matching::Matched;
use super::params;
use super::request::{Cluster, Request};
use crate::resource::Resource;
use crate::schema::{Budget, Inputs, Question};
use crate::status::Status;

/// What came of evaluating all policies.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Why the request is refused, if it is.
    pub refusal: Option<Status>,
    /// What the client is to be told.
    pub warnings: Vec<String>,
}

impl Policies {
    /// Evaluates all policies that are about a request.
    pub fn judge(&self, request: &Request, cluster: &dyn Cluster) -> Verdict {
        let mut session = Session { request, cluster, budget: Budget::default(), namespace: None, verdict: Verdict::default() };
        if request.resource.group != super::GROUP {
            self.0.iter().for_each(|policy| session.policy(policy));
        }
        session.verdict
    }
}

/// One request on its way through the policies.
struct Session<'a> {
    request: &'a Request<'a>,
    cluster: &'a dyn Cluster,
    /// What all policies together may cost.
    budget: Budget,
    /// The namespace of the object, once it was looked up.
    namespace: Option<Option<Value>>,
    verdict: Verdict,
}

impl Session<'_> {
    fn policy(&mut self, policy: &Policy) {
        let matched = match policy.matches.find(self.request, self.cluster) {
            Ok(Some(matched)) => matched,
            Ok(None) => return,
            Err(why) => return self.misconfigured(policy, None, &why),
        };
        let kind = match &policy.param_kind {
            None => None,
            Some(kind) => match kind.resource(self.cluster) {
                Some(resource) => Some((kind.clone(), resource)),
                None => {
                    let why = format!("failed to find resource referenced by paramKind: '{}'", kind.title());
                    return self.misconfigured(policy, None, &why);
                }
            },
        };
        for binding in &policy.bindings {
            match binding.matches.find(self.request, self.cluster) {
                Ok(Some(_)) => {}
                Ok(None) => continue,
                Err(why) => {
                    self.misconfigured(policy, Some(binding), &why);
                    continue;
                }
            }
            match params::collect(kind.as_ref(), binding.param.as_ref(), self.request.namespace, self.cluster) {
                Ok(all) => all.iter().for_each(|params| self.binding(policy, binding, &matched, params.as_ref())),
                Err(why) => self.misconfigured(policy, Some(binding), &why),
            }
        }
    }

    fn binding(&mut self, policy: &Policy, binding: &Binding, matched: &Matched, params: Option<&Value>) {
        let (request, cluster) = (self.request, self.cluster);
        let resource: &Resource = match matched {
            Matched::Own => request.resource,
            Matched::Other(other) => other,
        };
        // What a subresource carries is of one version only.
        let convert = |object: Option<&Value>| match matched {
            Matched::Other(other) if request.carries.is_none() => object.map(|object| cluster.converted(other, object)),
            _ => object.cloned(),
        };
        let (object, old) = (convert(request.object), convert(request.old));
        let described = request.describe(resource);
        let namespace = self.namespace().cloned();
        let authority = cluster.authority(request.user);
        let question = question(request);
        let inputs = Inputs {
            object: object.as_ref(),
            old_object: old.as_ref(),
            request: &described,
            params,
            namespace_object: namespace.as_ref(),
            authorizer: Some((&authority, &question)),
        };
        for finding in evaluate(policy, &inputs, &mut self.budget) {
            self.found(policy, binding, &finding);
        }
    }

    fn found(&mut self, policy: &Policy, binding: &Binding, finding: &Finding) {
        let (name, bound, message) = (&policy.name, &binding.name, &finding.message);
        for action in &binding.actions {
            match action {
                Action::Deny => self.refuse(
                    finding.reason,
                    &format!("ValidatingAdmissionPolicy '{name}' with binding '{bound}' denied request: {message}"),
                ),
                Action::Warn => {
                    self.verdict
                        .warnings
                        .push(format!("Validation failed for ValidatingAdmissionPolicy '{name}' with binding '{bound}': {message}"));
                }
                Action::Audit => {
                    let request = self.request;
                    tracing::info!(
                        policy = name,
                        binding = bound,
                        message,
                        operation = request.operation.word(),
                        resource = request.resource.plural,
                        namespace = request.namespace,
                        name = request.name,
                        user = request.user.name,
                        "an admission policy's validation failed"
                    );
                }
            }
        }
    }

    /// A policy that says what cannot be done refuses everything it is about, or nothing.
    fn misconfigured(&mut self, policy: &Policy, binding: Option<&Binding>, why: &str) {
        if policy.on_failure == OnFailure::Ignore {
            return;
        }
        let name = &policy.name;
        let message = match binding {
            None => format!("ValidatingAdmissionPolicy '{name}' denied request: failed to configure policy: {why}"),
            Some(binding) => {
                format!(
                    "ValidatingAdmissionPolicy '{name}' with binding '{}' denied request: failed to configure binding: {why}",
                    binding.name
                )
            }
        };
        self.refuse("Invalid", &message);
    }

    /// The first refusal is the one that is told.
    fn refuse(&mut self, reason: &'static str, message: &str) {
        if self.verdict.refusal.is_some() {
            return;
        }
        let resource = self.request.resource;
        let name = object_name(self.request);
        let plural = if resource.group.is_empty() { resource.plural.clone() } else { format!("{}.{}", resource.plural, resource.group) };
        let code = match reason {
            "Forbidden" => 403,
            "Unauthorized" => 401,
            "RequestEntityTooLarge" => 413,
            _ => 422,
        };
        let mut status =
            Status::new(code, reason, format!("{plural} {name:?} is forbidden: {message}")).about(&resource.group, &resource.plural, name);
        if let Some(details) = status.details.as_mut() {
            details["causes"] = json!([{"message": message}]);
        }
        self.verdict.refusal = Some(status);
    }

    fn namespace(&mut self) -> Option<&Value> {
        let (request, cluster) = (self.request, self.cluster);
        let look =
            || Some(request.namespace).filter(|name| !name.is_empty() && !request.is_namespace()).and_then(|name| cluster.namespace(name));
        self.namespace.get_or_insert_with(look).as_ref()
    }
}

/// What `authorizer.requestResource` asks about.
fn question(request: &Request) -> Question {
    Question {
        group: request.resource.group.clone(),
        resource: request.resource.plural.clone(),
        subresource: request.subresource.to_owned(),
        namespace: request.namespace.to_owned(),
        name: request.name.to_owned(),
        ..Question::default()
    }
}

/// The name in refusals: that of the request or the object; a collection that is deleted has none.
fn object_name<'a>(request: &'a Request) -> &'a str {
    let of_object = |key: &str| request.object.and_then(|object| object["metadata"][key].as_str()).filter(|name| !name.is_empty());
    if !request.name.is_empty() {
        return request.name;
    }
    of_object("name").or_else(|| of_object("generateName")).unwrap_or("Unknown")
}
