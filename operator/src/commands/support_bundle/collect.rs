//! What goes into a bundle. Each part stands by itself: one that is refused is noted, and the others follow.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, LogParams};
use kube::core::GroupVersionKind;
use kube::{Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::bundle::Bundle;

/// Objects of one answer.
const PAGE: u32 = 500;
/// Bytes of one log.
const LOG_BYTES: i64 = 4 << 20;
/// Objects of one kind; beyond that a bundle helps nobody.
const MOST: usize = 5000;
/// What follows where Secrets are missing.
const NOT_LOOKED_FOR: &str = "values of Secrets could therefore not be looked for in texts";
/// What the operator's own objects are labelled with.
const OWN: &str = "app.kubernetes.io/part-of=switchboard";
/// Groups of our kinds.
const GROUPS: [&str; 2] = ["switchboard.dev", "simulation.switchboard.dev"];
/// Type of the Secrets in which Helm keeps what it installed, values included.
const HELM: &str = "helm.sh/release.v1";

/// Collects through a client, for some namespaces or, where there are none, all.
pub struct Collector<'a> {
    /// The cluster.
    pub client: Client,
    /// Only these.
    pub namespaces: &'a [String],
    /// Where the operator runs.
    pub operator_namespace: &'a str,
    /// Lines of each log.
    pub log_lines: u32,
    /// What was collected.
    pub bundle: Bundle,
    /// Namespaces that hold objects of ours.
    seen: BTreeSet<String>,
}

/// Why something is not in the bundle, in a few words.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => format!("not allowed: {}", status.message),
        kube::Error::Api(status) => status.message.clone(),
        other => runtime::tasks::chain(other),
    }
}

/// All objects of a list, page by page.
async fn all<K>(api: &Api<K>, parameters: ListParams) -> Result<(Vec<K>, bool), kube::Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let (mut found, mut parameters) = (Vec::new(), parameters.limit(PAGE));
    loop {
        let page = api.list(&parameters).await?;
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(_) if found.len() >= MOST => return Ok((found, true)),
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok((found, false)),
        }
    }
}

impl<'a> Collector<'a> {
    /// One that has collected nothing yet.
    pub fn new(client: Client, namespaces: &'a [String], operator_namespace: &'a str, log_lines: u32, bundle: Bundle) -> Self {
        Self { client, namespaces, operator_namespace, log_lines, bundle, seen: BTreeSet::new() }
    }

    /// Everything there is in the cluster.
    pub async fn run(&mut self) {
        // Secrets come first: what they hold is taken out of all that follows.
        let kinds = self.kinds().await;
        self.secrets().await;
        for (kind, namespaced) in &kinds {
            self.objects(kind, *namespaced).await;
        }
        self.events().await;
        self.operator().await;
        self.cluster().await;
    }

    /// Namespaces to ask for: an empty one stands for all.
    fn asked(&self) -> Vec<String> {
        if self.namespaces.is_empty() { vec![String::new()] } else { self.namespaces.to_vec() }
    }

    fn api<K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>>(&self, namespace: &str) -> Api<K> {
        if namespace.is_empty() { Api::all(self.client.clone()) } else { Api::namespaced(self.client.clone(), namespace) }
    }

    /// Our kinds as this cluster has them, and whether they are in namespaces; their definitions' versions go into the bundle.
    async fn kinds(&mut self) -> Vec<(ApiResource, bool)> {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let definitions = match all(&api, ListParams::default()).await {
            Ok((definitions, _)) => definitions,
            Err(error) => {
                self.bundle.leave_out("kinds", &format!("{}; the kinds of this program are asked for instead", words(&error)));
                crds::generate::all()
            }
        };
        let ours: Vec<_> = definitions.into_iter().filter(|definition| GROUPS.contains(&definition.spec.group.as_str())).collect();
        let mut text = String::new();
        let mut kinds = Vec::new();
        for definition in &ours {
            let (spec, status) = (&definition.spec, definition.status.as_ref());
            let versions: Vec<&str> = spec.versions.iter().map(|version| version.name.as_str()).collect();
            let stored = status.and_then(|status| status.stored_versions.clone()).unwrap_or_default();
            let conditions = status.and_then(|status| status.conditions.clone()).unwrap_or_default();
            let conditions: Vec<String> = conditions.iter().map(|one| format!("{}={}", one.type_, one.status)).collect();
            let (versions, stored, conditions) = (versions.join(","), stored.join(","), conditions.join(" "));
            // A String takes everything.
            let _ = writeln!(text, "{} versions={versions} stored={stored} {conditions}", definition.name_any());
            if let Some(version) = spec.versions.iter().find(|version| version.served) {
                let kind = GroupVersionKind::gvk(&spec.group, &version.name, &spec.names.kind);
                kinds.push((ApiResource::from_gvk_with_plural(&kind, &spec.names.plural), spec.scope == "Namespaced"));
            }
        }
        self.bundle.text("kinds.txt", &text);
        kinds
    }

    /// Names and keys of Secrets; their values are learnt, to be taken out of everything.
    async fn secrets(&mut self) {
        let mut namespaces = self.asked();
        if !self.namespaces.is_empty() && !namespaces.iter().any(|name| name == self.operator_namespace) {
            namespaces.push(self.operator_namespace.to_owned());
        }
        let mut text = String::new();
        for namespace in namespaces {
            match all(&self.api::<Secret>(&namespace), ListParams::default()).await {
                Ok((secrets, more)) => {
                    if more {
                        let why = format!("there are more than {MOST}; {NOT_LOOKED_FOR}; choose namespaces with --namespace");
                        self.bundle.leave_out(&format!("secrets of {}", named(&namespace)), &why);
                    }
                    for secret in &secrets {
                        self.secret(secret, &mut text);
                    }
                }
                Err(error) => {
                    let why = format!("{}; {NOT_LOOKED_FOR}", words(&error));
                    self.bundle.leave_out(&format!("secrets of {}", named(&namespace)), &why);
                }
            }
        }
        self.bundle.text("secrets.txt", &text);
    }

    fn secret(&mut self, secret: &Secret, text: &mut String) {
        let kind = secret.type_.clone().unwrap_or_default();
        let data = secret.data.iter().flatten();
        let keys: Vec<&str> = data.clone().map(|(key, _)| key.as_str()).collect();
        let _ = writeln!(text, "{}/{} type={kind} keys={}", secret.namespace().unwrap_or_default(), secret.name_any(), keys.join(","));
        if kind != HELM {
            self.bundle.scrubber.learn(data.map(|(key, ByteString(value))| (key.as_str(), value.as_slice())));
        }
    }

    /// The objects of one of our kinds.
    async fn objects(&mut self, kind: &ApiResource, namespaced: bool) {
        let namespaces = if namespaced { self.asked() } else { vec![String::new()] };
        for namespace in namespaces {
            let api: Api<DynamicObject> = if namespace.is_empty() {
                Api::all_with(self.client.clone(), kind)
            } else {
                Api::namespaced_with(self.client.clone(), &namespace, kind)
            };
            match all(&api, ListParams::default()).await {
                Ok((objects, more)) => {
                    self.note_more(&kind.plural, more);
                    for object in objects {
                        self.seen.extend(object.namespace());
                        self.object(&format!("objects/{}", kind.plural), &object);
                    }
                }
                Err(error) => self.bundle.leave_out(&format!("{} of {}", kind.plural, named(&namespace)), &words(&error)),
            }
        }
    }

    fn object<K: Serialize + Resource>(&mut self, folder: &str, object: &K) {
        let name =
            format!("{folder}/{}{}.yaml", object.namespace().map(|namespace| namespace + "/").unwrap_or_default(), object.name_any());
        match serde_json::to_value(object) {
            Ok(value) => self.bundle.object(&name, value),
            Err(error) => self.bundle.leave_out(&name, &error.to_string()),
        }
    }

    /// Events of our objects, oldest first, one a line.
    async fn events(&mut self) {
        let mut lines = Vec::new();
        for namespace in self.asked() {
            match all(&self.api::<Event>(&namespace), ListParams::default()).await {
                Ok((events, more)) => {
                    self.note_more("events", more);
                    lines.extend(events.iter().filter_map(event_line));
                }
                Err(error) => self.bundle.leave_out(&format!("events of {}", named(&namespace)), &words(&error)),
            }
        }
        lines.sort();
        self.bundle.text("events.txt", &(lines.join("\n") + "\n"));
    }

    /// The operator: what runs, who leads, and what it wrote.
    async fn operator(&mut self) {
        let namespace = self.operator_namespace.to_owned();
        let own = ListParams::default().labels(OWN);
        self.list("operator/deployments", self.api::<Deployment>(&namespace), own.clone()).await;
        self.list("operator/leases", self.api::<Lease>(&namespace), ListParams::default()).await;
        let pods = self.list("operator/pods", self.api::<Pod>(&namespace), own).await;
        if pods.is_empty() {
            let why =
                format!("no pod of the namespace {namespace} has the label {OWN}; where the operator runs elsewhere, add its log by hand");
            self.bundle.leave_out("logs of the operator", &why);
        }
        for pod in pods {
            self.logs(&pod).await;
            self.metrics(&pod).await;
        }
    }

    /// What a replica measures, by the API server: its port is not open to everyone.
    async fn metrics(&mut self, pod: &Pod) {
        let ports = pod.spec.iter().flat_map(|spec| &spec.containers).flat_map(|container| container.ports.iter().flatten());
        let Some(port) = ports.filter(|port| port.name.as_deref() == Some("metrics")).map(|port| port.container_port).next() else {
            return;
        };
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        let file = format!("operator/metrics/{name}.txt");
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy/metrics");
        let asked = match http::Request::get(path).body(Vec::new()) {
            Ok(request) => self.client.request_text(request).await.map_err(|error| words(&error)),
            Err(error) => Err(error.to_string()),
        };
        match asked {
            Ok(text) => self.bundle.text(&file, &text),
            Err(why) => self.bundle.leave_out(&file, &why),
        }
    }

    async fn logs(&mut self, pod: &Pod) {
        let api: Api<Pod> = self.api(&pod.namespace().unwrap_or_default());
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| container.name.clone());
        for container in containers.collect::<Vec<_>>() {
            for previous in [false, true] {
                let parameters = LogParams {
                    container: Some(container.clone()),
                    tail_lines: Some(self.log_lines.into()),
                    limit_bytes: Some(LOG_BYTES),
                    timestamps: true,
                    previous,
                    ..LogParams::default()
                };
                let name = format!("operator/logs/{}-{container}{}.log", pod.name_any(), if previous { "-previous" } else { "" });
                match api.logs(&pod.name_any(), &parameters).await {
                    Ok(text) => self.bundle.text(&name, &text),
                    // Few containers have had a life before.
                    Err(_) if previous => {}
                    Err(error) => self.bundle.leave_out(&name, &words(&error)),
                }
            }
        }
    }

    /// Nodes and versions.
    async fn cluster(&mut self) {
        self.list("nodes", Api::<Node>::all(self.client.clone()), ListParams::default()).await;
        let server = match self.client.apiserver_version().await {
            Ok(version) => json!({"gitVersion": version.git_version, "platform": version.platform}),
            Err(error) => json!({"error": words(&error)}),
        };
        let namespaces: Vec<&String> = self.seen.iter().collect();
        let about = json!({"switchboard": env!("CARGO_PKG_VERSION"), "kubernetes": server, "namespacesWithObjects": namespaces});
        self.bundle.text("versions.json", &format!("{about:#}\n"));
    }

    async fn list<K>(&mut self, folder: &str, api: Api<K>, parameters: ListParams) -> Vec<K>
    where
        K: Clone + DeserializeOwned + std::fmt::Debug + Serialize + Resource,
    {
        match all(&api, parameters).await {
            Ok((objects, more)) => {
                self.note_more(folder, more);
                for object in &objects {
                    self.object(folder, object);
                }
                objects
            }
            Err(error) => {
                self.bundle.leave_out(folder, &words(&error));
                Vec::new()
            }
        }
    }

    fn note_more(&mut self, what: &str, more: bool) {
        if more {
            self.bundle.leave_out(what, &format!("there are more than {MOST}; choose namespaces with --namespace"));
        }
    }
}

fn named(namespace: &str) -> String {
    if namespace.is_empty() { "all namespaces".to_owned() } else { format!("the namespace {namespace}") }
}

/// An Event of one of our objects as a line; none for others.
fn event_line(event: &Event) -> Option<String> {
    let regarding = event.regarding.as_ref()?;
    let group = regarding.api_version.as_deref()?.split('/').next()?;
    if !GROUPS.contains(&group) {
        return None;
    }
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let event = serde_json::to_value(event).ok()?;
    let last = [&event["series"]["lastObservedTime"], &event["deprecatedLastTimestamp"], &event["eventTime"]];
    let time = last.into_iter().find_map(Value::as_str).unwrap_or("-");
    let place = format!("{}/{} {}", text(&regarding.namespace), text(&regarding.name), text(&regarding.kind));
    let word = |name: &str| event[name].as_str().unwrap_or_default().replace('\n', " ");
    Some(format!("{time} {} {place} {}: {}", word("type"), word("reason"), word("note")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::convert::Infallible;

    use http::{Request, Response};
    use kube::client::Body;

    use super::super::scrub::Scrubber;
    use super::*;

    #[tokio::test]
    async fn secrets_that_are_too_many_are_said_to_be_missing_in_the_words_of_a_refusal() {
        // Each answer has as many as were asked for, and says that there are more.
        let server = tower::service_fn(|_: Request<Body>| async {
            let items: Vec<Value> = (0..PAGE).map(|number| json!({"metadata": {"name": format!("s{number}"), "namespace": "n"}})).collect();
            let list = json!({"apiVersion": "v1", "kind": "SecretList", "metadata": {"continue": "more"}, "items": items});
            Ok::<_, Infallible>(Response::new(Body::from(list.to_string().into_bytes())))
        });
        let bundle = Bundle::new(Scrubber::new().unwrap());
        let mut collector = Collector::new(Client::new(server, "n"), &[], "n", 1, bundle);
        collector.secrets().await;
        let manifest = collector.bundle.manifest(&Value::Null);
        let entry = &manifest["leftOut"][0];
        assert_eq!(entry["what"], "secrets of all namespaces");
        assert!(entry["why"].as_str().unwrap().contains(&format!("more than {MOST}; {NOT_LOOKED_FOR}")), "{entry}");
    }
}
