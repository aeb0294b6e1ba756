//! Who may: the verb of a request, impersonation, and the answer to those who may not.

use http::Method;
use serde_json::json;

use super::authorize::{Attributes, Decision};
use super::request::Call;
use super::routing::{Route, Target};
use super::{Api, qualified};
use crate::status::Status;
use crate::user::{AUTHENTICATED, User};

/// What a request does to objects, in the words of authorization.
pub(super) fn verb(call: &Call, target: &Target) -> &'static str {
    let one = target.name.is_some();
    match call.method {
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

impl Api {
    /// Refuses what the user may not do. Whoever may act as somebody else becomes that user.
    pub(super) fn admit_user(&self, call: &mut Call, route: &Route) -> Result<(), Status> {
        self.impersonate(call)?;
        let attributes = match route {
            Route::Objects(target) => {
                let resource = &target.resource;
                Attributes {
                    verb: verb(call, target).to_owned(),
                    group: resource.group.clone(),
                    version: resource.version.clone(),
                    resource: resource.plural.clone(),
                    subresource: target.subresource.clone(),
                    // A namespace is in itself.
                    namespace: if super::kinds::is_core(resource, "Namespace") {
                        target.name().to_owned()
                    } else {
                        target.namespace.clone()
                    },
                    name: target.name().to_owned(),
                    path: String::new(),
                }
            }
            // What is served is no secret to anyone who is known, and that it is well to no one at all.
            Route::Version | Route::Health => return Ok(()),
            Route::Nowhere => Attributes { verb: call.method.as_str().to_lowercase(), path: call.path.clone(), ..Attributes::default() },
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

    fn impersonate(&self, call: &mut Call) -> Result<(), Status> {
        let name = call.header("impersonate-user").to_owned();
        if name.is_empty() {
            return Ok(());
        }
        let groups: Vec<String> =
            call.headers.get_all("impersonate-group").iter().filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
        let ask = |resource: &str, name: &str| Attributes {
            verb: "impersonate".into(),
            resource: resource.into(),
            name: name.into(),
            ..Attributes::default()
        };
        self.demand(&call.user, &ask("users", &name))?;
        for group in &groups {
            self.demand(&call.user, &ask("groups", group))?;
        }
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        call.user = User::new(name, &groups);
        Ok(())
    }
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
