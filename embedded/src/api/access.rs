//! Who may: the verb of a request, impersonation, and the answer to those who may not.

use http::{HeaderMap, Method};
use serde_json::json;

use super::authorize::{Attributes, Decision};
use super::request::Call;
use super::routing::{Route, Target};
use super::selectors::FieldSelector;
use super::{Api, qualified};
use crate::status::Status;
use crate::user::{AUTHENTICATED, User};

/// What a request does to objects, in the words of authorization.
pub(super) fn verb(call: &Call, target: &Target) -> &'static str {
    let one = target.name.is_some();
    match call.method {
        // A websocket begins with a GET, but it does more than read.
        Method::GET | Method::POST if STREAMS.contains(&target.subresource.as_str()) => "create",
        Method::GET | Method::HEAD if call.query.flag("watch") && target.subresource.is_empty() => "watch",
        Method::GET | Method::HEAD if one => "get",
        Method::GET | Method::HEAD => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if one => "delete",
        Method::DELETE => "deletecollection",
        _ => "",
    }
}

/// Subresources that are streams to and from a pod. Whoever may create them may use them, whatever the method: websockets begin with a GET,
/// for which a Kubernetes server asks for both `get` and `create`, and clients that lack `get` fall back there to a protocol that has POST.
const STREAMS: [&str; 3] = ["attach", "exec", "portforward"];

/// Verb and resource a request is counted under.
/// Only words from fixed sets: what a client invents must not become a series of its own.
pub(super) fn counted_as(call: &Call, route: &Route) -> (String, String) {
    match route {
        Route::Objects(target) => {
            let path = if target.subresource.is_empty() {
                target.resource.plural.clone()
            } else {
                format!("{}/{}", target.resource.plural, known(&target.subresource, &SUBRESOURCES))
            };
            (known(verb(call, target), &VERBS).to_owned(), qualified(&path, &target.resource.group))
        }
        _ => (known(&call.method.as_str().to_lowercase(), &METHODS).to_owned(), "-".to_owned()),
    }
}

const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
const METHODS: [&str; 7] = ["get", "head", "post", "put", "patch", "delete", "options"];
const SUBRESOURCES: [&str; 10] = ["status", "scale", "log", "finalize", "token", "exec", "attach", "portforward", "eviction", "binding"];

fn known<'a>(word: &'a str, words: &[&'a str]) -> &'a str {
    if words.contains(&word) { word } else { "other" }
}

/// What a request asks for, under a verb.
fn asked(call: &Call, target: &Target, verb: &str) -> Attributes {
    let resource = &target.resource;
    // Whoever asks for the one object of a name may do so with rights to just that name.
    let selected = match verb {
        "list" | "watch" if target.name.is_none() => FieldSelector::parse(call.query.text("fieldSelector"), resource).ok(),
        _ => None,
    };
    let name = match selected.as_ref().and_then(|fields| fields.exactly("metadata.name")) {
        Some(name) => name.to_owned(),
        None => target.name().to_owned(),
    };
    Attributes {
        verb: verb.to_owned(),
        group: resource.group.clone(),
        version: resource.version.clone(),
        resource: resource.plural.clone(),
        subresource: target.subresource.clone(),
        // A namespace is in itself.
        namespace: if super::kinds::is_core(resource, "Namespace") { target.name().to_owned() } else { target.namespace.clone() },
        name,
        path: String::new(),
    }
}

impl Api {
    /// Refuses to create by a request that only needed the right to change, unless the user may create too.
    pub(super) fn demand_create(&self, call: &Call, target: &Target) -> Result<(), Status> {
        self.demand(&call.user, &asked(call, target, "create"))
    }

    /// Refuses what the user may not do. Whoever may act as somebody else becomes that user.
    pub(super) fn admit_user(&self, call: &mut Call, route: &Route) -> Result<(), Status> {
        self.impersonate(call)?;
        let attributes = match route {
            Route::Objects(target) => asked(call, target, verb(call, target)),
            // What is served is no secret to anyone who is known, and that it is well to no one at all.
            Route::Version | Route::Health => return Ok(()),
            Route::Nowhere | Route::Metrics => {
                Attributes { verb: call.method.as_str().to_lowercase(), path: call.path.clone(), ..Attributes::default() }
            }
            _ if call.user.is_in(AUTHENTICATED) => return Ok(()),
            _ => Attributes { verb: call.method.as_str().to_lowercase(), path: call.path.clone(), ..Attributes::default() },
        };
        self.demand(&call.user, &attributes)
    }

    fn demand(&self, user: &User, attributes: &Attributes) -> Result<(), Status> {
        match self.authorizer().authorize(user, attributes) {
            Decision::Allow(_) => Ok(()),
            Decision::Deny(reason) => Err(forbidden(user, attributes, &reason)),
        }
    }

    /// Whoever sends any `Impersonate-` header acts as that user or not at all, never with rights of his own.
    fn impersonate(&self, call: &mut Call) -> Result<(), Status> {
        let Some(wanted) = Impersonation::of(&call.headers)? else { return Ok(()) };
        let ask = |resource: &str, name: &str| Attributes {
            verb: "impersonate".into(),
            resource: resource.into(),
            name: name.into(),
            ..Attributes::default()
        };
        let account = service_account(&wanted.user);
        match account {
            Some((namespace, name)) => {
                self.demand(&call.user, &Attributes { namespace: namespace.into(), ..ask("serviceaccounts", name) })?;
            }
            None => self.demand(&call.user, &ask("users", &wanted.user))?,
        }
        for group in &wanted.groups {
            self.demand(&call.user, &ask("groups", group))?;
        }
        let groups: Vec<&str> = wanted.groups.iter().map(String::as_str).collect();
        call.user = match account {
            Some((namespace, name)) if groups.is_empty() => User::service_account(namespace, name, ""),
            _ if wanted.user == User::anonymous().name && groups.is_empty() => User::anonymous(),
            _ => User::new(wanted.user, &groups),
        };
        Ok(())
    }
}

/// Whom a request wants to act as.
struct Impersonation {
    user: String,
    groups: Vec<String>,
}

impl Impersonation {
    fn of(headers: &HeaderMap) -> Result<Option<Self>, Status> {
        let refuse = |why: &str| Err(Status::bad_request(format!("cannot act as another user: {why}")));
        let (mut users, mut groups) = (Vec::new(), Vec::new());
        for (name, value) in headers {
            let Some(part) = name.as_str().strip_prefix("impersonate-") else { continue };
            let Some(value) = value.to_str().ok().filter(|value| !value.is_empty()) else {
                return refuse(&format!("the header {name} is empty or not ASCII"));
            };
            match part {
                "user" => users.push(value.to_owned()),
                "group" => groups.push(value.to_owned()),
                _ => return refuse(&format!("the header {name} is not supported here; Impersonate-User and Impersonate-Group are")),
            }
        }
        match (users.pop(), users.is_empty()) {
            (Some(user), true) => Ok(Some(Self { user, groups })),
            (Some(_), false) => refuse("the header Impersonate-User is there more than once"),
            (None, _) if groups.is_empty() => Ok(None),
            (None, _) => refuse("Impersonate-Group needs Impersonate-User as well"),
        }
    }
}

/// Namespace and name of the service account that a user name stands for.
fn service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

fn forbidden(user: &User, attributes: &Attributes, reason: &str) -> Status {
    let name = &user.name;
    let tail = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    if attributes.resource.is_empty() {
        let text = format!("forbidden: User {name:?} cannot {} path {:?}{tail}", attributes.verb, attributes.path);
        let mut status = Status::new(403, "Forbidden", text);
        status.details = Some(json!({}));
        return status;
    }
    let plural = if attributes.subresource.is_empty() {
        attributes.resource.clone()
    } else {
        format!("{}/{}", attributes.resource, attributes.subresource)
    };
    let place = if attributes.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {:?}", attributes.namespace)
    };
    let subject = qualified(&attributes.resource, &attributes.group);
    let object = if attributes.name.is_empty() { String::new() } else { format!(" {:?}", attributes.name) };
    let text = format!(
        "{subject}{object} is forbidden: User {name:?} cannot {} resource {plural:?} in API group {:?} {place}{tail}",
        attributes.verb, attributes.group
    );
    Status::new(403, "Forbidden", text).about(&attributes.group, &attributes.resource, &attributes.name)
}
