//! Questions that are answered and not stored: what may I do, who am I, whose token is this.

use serde_json::{Value, json};

use super::Api;
use super::authorize::{Attributes, Bearer, Decision};
use super::metadata;
use super::negotiation::Form;
use super::questions;
use super::request::Call;
use super::respond::{self, Answer};
use super::routing::Target;
use crate::fields::{self, Writer};
use crate::resource::Resource;
use crate::status::Status;
use crate::user::User;

/// How long a token lasts where nobody says.
const TOKEN_SECONDS: i64 = 3600;
/// The shortest life of a token.
const SHORTEST_TOKEN_SECONDS: i64 = 600;

/// Whether objects of a kind are questions.
pub(super) fn is_question(resource: &Resource) -> bool {
    matches!(resource.group.as_str(), "authorization.k8s.io" | "authentication.k8s.io")
}

impl Api {
    /// POST of a question.
    pub(super) fn review(&self, call: &Call, target: &Target) -> Result<Answer, Status> {
        call.check_write_options("CreateOptions")?;
        let form = Form::negotiate(call.header("accept"))?;
        let resource = &target.resource;
        let mut object = self.decode_object(call, resource)?;
        let warnings = self.check_fields(call, resource, &object)?;
        self.complete(resource, &mut object);
        if resource.kind != "SelfSubjectReview" {
            own_fields(call, resource, &mut object);
        }
        if let Some(members) = object.as_object_mut() {
            members.remove("status");
        }
        questions::check(resource, &object, &target.namespace)?;
        self.validate_question(resource, &object)?;
        object["status"] = match resource.kind.as_str() {
            "SelfSubjectAccessReview" => self.may(&call.user, &object["spec"]),
            "SubjectAccessReview" | "LocalSubjectAccessReview" => self.may(&user_of(&object["spec"]), &object["spec"]),
            "SelfSubjectRulesReview" => self.authorizer().rules(&call.user, object["spec"]["namespace"].as_str().unwrap_or_default()),
            "SelfSubjectReview" => json!({"userInfo": user_info(&call.user)}),
            "TokenReview" => self.whose(object["spec"]["token"].as_str().unwrap_or_default()),
            other => return Err(Status::internal(format!("no one answers a {other} here"))),
        };
        if resource.kind == "SelfSubjectReview" {
            metadata::of(&mut object).insert("creationTimestamp".into(), json!(metadata::now()));
        }
        let mut answer = respond::value(201, form.syntax, &object);
        respond::warn(&mut answer, &warnings);
        Ok(answer)
    }

    fn validate_question(&self, resource: &Resource, object: &Value) -> Result<(), Status> {
        let errors = crate::schema::validate(resource.schema(), object, None);
        if errors.is_empty() { Ok(()) } else { Err(super::admission::invalid(resource, object, &errors)) }
    }

    fn may(&self, user: &User, spec: &Value) -> Value {
        let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let attributes = if resource.is_object() {
            Attributes {
                verb: text(resource, "verb"),
                group: text(resource, "group"),
                version: text(resource, "version"),
                resource: text(resource, "resource"),
                subresource: text(resource, "subresource"),
                namespace: text(resource, "namespace"),
                name: text(resource, "name"),
                path: String::new(),
            }
        } else {
            Attributes { verb: text(path, "verb"), path: text(path, "path"), ..Attributes::default() }
        };
        let (allowed, reason) = match self.authorizer().authorize(user, &attributes) {
            Decision::Allow(reason) => (true, reason),
            Decision::Deny(reason) => (false, reason),
        };
        let mut status = json!({"allowed": allowed});
        if !reason.is_empty() {
            status["reason"] = json!(reason);
        }
        status
    }

    fn whose(&self, token: &str) -> Value {
        match self.tokens().and_then(|tokens| tokens.user(token)) {
            Some(user) => json!({"authenticated": true, "user": user_info(&user)}),
            None => json!({"user": {}, "error": "invalid bearer token"}),
        }
    }

    /// Name and uid of the pod that a token is to end with.
    fn bound_pod(&self, target: &Target, reference: &Value) -> Result<Option<(String, String)>, Status> {
        if !reference.is_object() {
            return Ok(None);
        }
        let invalid = |field: &str, value: &Value, why: &str| {
            let error = crate::status::FieldError::invalid(field, value, why);
            Status::invalid("authentication.k8s.io", "TokenRequest", target.name(), &[error])
        };
        if reference["kind"] != "Pod" || reference["apiVersion"] != "v1" {
            return Err(invalid(
                "spec.boundObjectRef",
                reference,
                "a token can be bound to a v1 Pod only; name one, or leave the reference out",
            ));
        }
        let name = reference["name"].as_str().unwrap_or_default();
        let pod = self.store().get(&crate::store::Key::new("pods", target.namespace.as_str(), name));
        let pod = pod.ok_or_else(|| Status::not_found("", "pods", name))?.value();
        let (wanted, uid) = (reference["uid"].as_str().unwrap_or_default(), metadata::text(&pod, "uid"));
        if !wanted.is_empty() && wanted != uid {
            let why = format!(
                "the UID in the bound object reference ({wanted}) does not match the UID in record. The object might have been deleted and then recreated"
            );
            return Err(Status::conflict("", "Pod", name, &why));
        }
        if pod["spec"]["serviceAccountName"] != target.name() {
            return Err(Status::bad_request(format!(
                "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                target.name()
            )));
        }
        Ok(Some((name.to_owned(), uid.to_owned())))
    }

    /// POST of `/token` of a service account.
    pub(super) fn token(&self, call: &Call, target: &Target) -> Result<Answer, Status> {
        let form = Form::negotiate(call.header("accept"))?;
        let mut request = super::admission::decode_body(call, "TokenRequest")?;
        self.admit_body(call, target, crate::policy::Operation::Create, &request)?;
        let account = self.find(target)?.value();
        let seconds = request["spec"]["expirationSeconds"].as_i64().unwrap_or(TOKEN_SECONDS);
        if seconds < SHORTEST_TOKEN_SECONDS {
            let error = crate::status::FieldError::invalid(
                "spec.expirationSeconds",
                &json!(seconds),
                "may not specify a duration less than 10 minutes",
            );
            return Err(Status::invalid("authentication.k8s.io", "TokenRequest", target.name(), &[error]));
        }
        let Some(tokens) = self.tokens() else {
            return Err(Status::new(501, "NotImplemented", "this server issues no tokens: it was started without an issuer"));
        };
        let audiences: Vec<String> =
            request["spec"]["audiences"].as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        let pod = self.bound_pod(target, &request["spec"]["boundObjectRef"])?;
        let pod = pod.as_ref().map(|(name, uid)| (name.as_str(), uid.as_str()));
        let bearer = Bearer { namespace: &target.namespace, name: target.name(), uid: metadata::text(&account, "uid"), pod };
        let (token, ends) = tokens.issue(&bearer, &audiences, seconds)?;
        request["kind"] = json!("TokenRequest");
        request["apiVersion"] = json!("authentication.k8s.io/v1");
        request["metadata"] = json!({"name": target.name(), "namespace": target.namespace, "creationTimestamp": metadata::now()});
        request["spec"]["expirationSeconds"] = json!(seconds);
        request["spec"]["audiences"] = json!(audiences);
        request["status"] = json!({"token": token, "expirationTimestamp": ends});
        Ok(respond::value(201, form.syntax, &request))
    }
}

/// Questions show who set their fields, like everything else.
fn own_fields(call: &Call, resource: &Resource, object: &mut Value) {
    let zero = crate::builtin::zero_object(resource);
    let (manager, version, time) = (call.manager(), resource.api_version(), metadata::now());
    let writer = Writer { manager: &manager, api_version: &version, subresource: "", time: &time };
    metadata::of(object);
    fields::update(resource.schema(), Some(&zero), object, &writer);
}

fn user_of(spec: &Value) -> User {
    let mut user = User { name: spec["user"].as_str().unwrap_or_default().to_owned(), ..User::default() };
    user.uid = spec["uid"].as_str().unwrap_or_default().to_owned();
    user.groups = spec["groups"].as_array().into_iter().flatten().filter_map(|group| group.as_str().map(str::to_owned)).collect();
    user
}

fn user_info(user: &User) -> Value {
    let mut info = json!({"username": user.name});
    if !user.uid.is_empty() {
        info["uid"] = json!(user.uid);
    }
    if !user.groups.is_empty() {
        info["groups"] = json!(user.groups);
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}
