//! The request pipeline: one [`Api::handle`] answers sockets and the in-process client alike.
//!
//! | file | what it does |
//! |---|---|
//! | `request`, `negotiation`, `respond` | a request taken apart, the form of the answer, the answer |
//! | `routing`, `registry` | from a path to a kind |
//! | [`authorize`], `access`, `escalation` | may this user do this |
//! | `read`, `watch`, `selectors`, `table`, `view` | GET |
//! | `write`, `patch`, `delete`, `eviction`, `scale`, `admission`, `metadata` | everything that changes objects |
//! | `policies` | what admission policies are asked |
//! | `kinds`, `services` | what single built-in kinds do differently |
//! | `crd`, `cleanup` | CustomResourceDefinitions, and how they go |
//! | `discovery`, `openapi` | what is served |
//! | `review`, `questions`, `logs`, `exec` | questions, the logs of pods, and programs in them |
//! | `protobuf`, `yaml` | bodies in protobuf and YAML, which some clients send |
//! | [`Api::client`] | a `kube::Client` without sockets |

mod access;
mod admission;
pub mod authorize;
mod bootstrap;
mod cleanup;
mod client;
mod counters;
mod crd;
mod delete;
mod discovery;
mod escalation;
mod eviction;
mod exec;
mod kinds;
mod logs;
mod metadata;
mod negotiation;
mod openapi;
mod patch;
mod policies;
mod protobuf;
mod questions;
mod read;
mod registry;
mod request;
mod respond;
mod review;
mod routing;
mod scale;
mod selectors;
mod services;
mod table;
mod view;
mod watch;
mod write;
mod yaml;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::json;

pub use counters::RequestKind;

use crate::body::Body;
use crate::builtin;
use crate::network::ServiceNetwork;
use crate::node::Node;
use crate::status::Status;
use crate::store::Store;
use crate::user::User;
use authorize::{Authorizer, MastersOnly, Tokens};
use negotiation::{Form, Shape};
use registry::{Kinds, Registry};
use request::Call;
use respond::Answer;
use routing::{Route, Target, route};
use tokio::sync::Semaphore;

/// The version of Kubernetes whose answers these are.
pub const VERSION: &str = "v1.36.2";

/// What a server can be told.
#[derive(Debug, Clone, Default)]
pub struct ApiOptions {
    /// Where services get their addresses from.
    pub service_network: ServiceNetwork,
}

/// The API over a store. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    store: Store,
    options: ApiOptions,
    registry: Registry,
    /// Since which revision a custom kind is served.
    served: RwLock<HashMap<String, u64>>,
    /// Custom kinds whose definition is being deleted.
    ending: RwLock<HashSet<String>>,
    authorizer: RwLock<Arc<dyn Authorizer>>,
    tokens: RwLock<Option<Arc<dyn Tokens>>>,
    node: RwLock<Option<Arc<dyn Node>>>,
    requests: counters::Requests,
    /// Held while the names of a definition are compared with those of others.
    judging: tokio::sync::Mutex<()>,
    /// Held from the choice of a service's address and ports until they are written.
    allocating: tokio::sync::Mutex<()>,
    cleanups: cleanup::Cleanups,
    policies: crate::policy::Catalogue,
    sessions: Arc<Semaphore>,
}

/// What is behind a lock that only ever guards one assignment.
fn read_lock<T: Clone>(lock: &RwLock<T>) -> T {
    lock.read().unwrap_or_else(PoisonError::into_inner).clone()
}

impl Api {
    /// The API over `store`. Custom kinds in the store are served at once; must be called inside a tokio runtime if a definition in the store is being deleted.
    pub fn new(store: Store, options: ApiOptions) -> Self {
        let api = Self(Arc::new(Inner {
            store,
            options,
            registry: Registry::new(builtin::resources()),
            served: RwLock::default(),
            ending: RwLock::default(),
            authorizer: RwLock::new(Arc::new(MastersOnly)),
            tokens: RwLock::default(),
            node: RwLock::default(),
            requests: counters::Requests::default(),
            judging: tokio::sync::Mutex::default(),
            allocating: tokio::sync::Mutex::default(),
            cleanups: cleanup::Cleanups::default(),
            policies: crate::policy::Catalogue::default(),
            sessions: Arc::new(Semaphore::new(exec::MOST_SESSIONS)),
        }));
        api.load_definitions();
        api
    }

    /// Who decides from now on what users may do.
    pub fn set_authorizer(&self, authorizer: Arc<dyn Authorizer>) {
        *self.0.authorizer.write().unwrap_or_else(PoisonError::into_inner) = authorizer;
    }

    /// Who issues the tokens of service accounts from now on.
    pub fn set_tokens(&self, tokens: Arc<dyn Tokens>) {
        *self.0.tokens.write().unwrap_or_else(PoisonError::into_inner) = Some(tokens);
    }

    /// Who knows the logs of containers from now on.
    pub fn set_node(&self, node: Arc<dyn Node>) {
        *self.0.node.write().unwrap_or_else(PoisonError::into_inner) = Some(node);
    }

    /// Requests so far.
    pub fn counters(&self) -> BTreeMap<RequestKind, u64> {
        self.0.requests.read()
    }

    /// The store behind the API.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    fn options(&self) -> &ApiOptions {
        &self.0.options
    }

    fn registry(&self) -> &Registry {
        &self.0.registry
    }

    fn kinds(&self) -> Arc<Kinds> {
        self.0.registry.kinds()
    }

    fn authorizer(&self) -> Arc<dyn Authorizer> {
        read_lock(&self.0.authorizer)
    }

    fn tokens(&self) -> Option<Arc<dyn Tokens>> {
        read_lock(&self.0.tokens)
    }

    fn node(&self) -> Option<Arc<dyn Node>> {
        read_lock(&self.0.node)
    }

    /// The revision before which nothing is known of a kind: that at which its definition was first served.
    fn served_since(&self, resource: &crate::resource::Resource) -> u64 {
        self.0.served.read().unwrap_or_else(PoisonError::into_inner).get(&resource.storage).copied().unwrap_or(0)
    }

    fn note_served(&self, storage: &str) {
        let revision = self.store().revision();
        self.0.served.write().unwrap_or_else(PoisonError::into_inner).entry(storage.to_owned()).or_insert(revision);
    }

    /// Whether the definition of a kind is being deleted: then nothing new comes in.
    fn is_ending(&self, resource: &crate::resource::Resource) -> bool {
        self.0.ending.read().unwrap_or_else(PoisonError::into_inner).contains(&resource.storage)
    }

    fn set_ending(&self, storage: &str, ending: bool) {
        let mut all = self.0.ending.write().unwrap_or_else(PoisonError::into_inner);
        if ending {
            all.insert(storage.to_owned());
        } else {
            all.remove(storage);
        }
    }

    /// Answers a request of `user`.
    pub async fn handle(&self, request: Request<Bytes>, user: &User) -> Response<Body> {
        let mut call = Call::new(request, user);
        let kinds = self.kinds();
        let route = route(&kinds, &call.path);
        let result = match self.admit_user(&mut call, &route) {
            Ok(()) => self.dispatch(&call, &kinds, &route).await,
            Err(status) => Err(status),
        };
        let mut answer = result.unwrap_or_else(|status| respond::error(&status));
        respond::warn(&mut answer, &call.take_warnings());
        let (verb, resource) = access::counted_as(&call, &route);
        self.0.requests.count(&verb, &resource, answer.status().as_u16());
        answer
    }

    async fn dispatch(&self, call: &Call, kinds: &Kinds, route: &Route) -> Result<Answer, Status> {
        let document = |value| Form::negotiate(call.header("accept")).map(|form| respond::value(200, form.syntax, &value));
        let aggregated = || Form::negotiate(call.header("accept")).is_ok_and(|form| form.shape == Shape::Aggregated);
        if let Route::Objects(target) = route {
            return self.objects(call, target).await;
        }
        if matches!(route, Route::Nowhere) {
            return Ok(respond::no_such_path());
        }
        if call.method != Method::GET && call.method != Method::HEAD {
            return Err(method_not_allowed());
        }
        match route {
            Route::Version => document(version()),
            Route::Health => Ok(respond::bytes(200, "text/plain; charset=utf-8", health(call))),
            Route::Metrics => Ok(respond::bytes(200, "text/plain; version=0.0.4; charset=utf-8", self.0.requests.exposition())),
            Route::CoreVersions if aggregated() => Ok(discovery::aggregated(kinds, true, call)),
            Route::Groups if aggregated() => Ok(discovery::aggregated(kinds, false, call)),
            Route::CoreVersions => document(discovery::core_versions(kinds)),
            Route::Groups => document(discovery::groups(kinds)),
            Route::Group(group) => document(discovery::group(kinds, group)),
            Route::Resources { group, version } => document(discovery::resources(kinds, group, version)),
            Route::OpenApiTwo => {
                let (content_type, document) = openapi::version_two(call.header("accept"));
                Ok(discovery::cached(call, content_type, document))
            }
            Route::OpenApiIndex => Ok(discovery::cached(call, "application/json", openapi::index(kinds).to_string())),
            Route::OpenApiDocument { group, version } => {
                Ok(discovery::cached(call, "application/json", openapi::document(kinds, group, version).to_string()))
            }
            Route::Objects(_) | Route::Nowhere => Ok(respond::no_such_path()),
        }
    }

    async fn objects(&self, call: &Call, target: &Target) -> Result<Answer, Status> {
        let resource = &target.resource;
        let one = target.name.is_some();
        let verb = access::verb(call, target);
        if target.subresource.is_empty() && !resource.verbs.contains(&verb) {
            return Err(method_not_allowed());
        }
        if matches!(target.subresource.as_str(), "exec" | "attach" | "portforward") {
            self.admit_connection(call, target)?;
        }
        match (target.subresource.as_str(), verb) {
            ("", "create") if one || (resource.namespaced && target.namespace.is_empty()) => Err(method_not_allowed()),
            ("", "create") if review::is_question(resource) => self.review(call, target),
            ("", "create") => self.create(call, target).await,
            ("", "list") => self.list(call, target),
            ("", "watch") => self.watch(call, target),
            ("" | "status", "get") => self.get(call, target),
            ("" | "status" | "finalize", "update") if one => self.replace(call, target).await,
            ("" | "status", "patch") if one => self.patch(call, target).await,
            ("", "delete") => self.delete(call, target).await,
            ("", "deletecollection") => self.delete_collection(call, target).await,
            ("scale", "get") => self.get_scale(call, target),
            ("scale", "update") => self.put_scale(call, target).await,
            ("scale", "patch") => self.patch(call, target).await,
            ("log", "get") => self.logs(call, target).await,
            ("token", "create") => self.token(call, target),
            ("exec" | "attach", "create") => self.stream(call, target),
            ("portforward", "create") => Err(self.no_forwarding(target)),
            ("binding", "create") => self.bind(call, target).await,
            ("eviction", "create") => self.evict(call, target).await,
            _ => Err(method_not_allowed()),
        }
    }
}

/// That all is well, in the words of a Kubernetes server.
fn health(call: &Call) -> String {
    if call.query.get("verbose").is_none() {
        return "ok".to_owned();
    }
    let probe = call.path.trim_start_matches('/').split('/').next().unwrap_or_default();
    format!("[+]ping ok\n[+]log ok\n[+]store ok\n{probe} check passed\n")
}

/// 405.
fn method_not_allowed() -> Status {
    let mut status = Status::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
    status.details = Some(json!({}));
    status
}

fn version() -> serde_json::Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": VERSION, "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none", "compiler": "rustc", "platform": format!("{}/{}", std::env::consts::OS, if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" })
    })
}

/// `name` or `name.group`.
fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

#[cfg(test)]
mod tests;
