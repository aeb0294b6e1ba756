//! CustomResourceDefinitions: from a definition to a served kind, and back.

use serde_json::{Value, json};

use super::{Api, metadata};
use crate::fields::{self, Writer};
use crate::resource::{Column, ColumnSource, LazySchema, Resource, Scale};
use crate::schema::{Schema, check_rules};
use crate::status::{FieldError, Status};
use crate::store::{Key, Object, Write, WriteError};

/// Where definitions are stored.
pub(super) const STORAGE: &str = "apiextensions.k8s.io/customresourcedefinitions";
/// Holds a definition until its objects are gone.
pub(super) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";
/// Who writes the status of definitions.
const MANAGER: &str = "kube-apiserver";
const AGE_DESCRIPTION: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// Whether a kind is that of definitions.
pub(super) fn is_definition(resource: &Resource) -> bool {
    resource.storage == STORAGE
}

/// Names that follow from others.
pub(super) fn default_definition(definition: &mut Value) {
    let spec = &mut definition["spec"];
    let Some(kind) = spec["names"]["kind"].as_str().map(str::to_owned) else { return };
    for (key, value) in [("singular", kind.to_lowercase()), ("listKind", format!("{kind}List"))] {
        if spec["names"][key].as_str().unwrap_or_default().is_empty() {
            spec["names"][key] = json!(value);
        }
    }
    if spec["conversion"].is_null() {
        spec["conversion"] = json!({"strategy": "None"});
    }
}

/// What the schemas of a definition must keep.
pub(super) fn validate_definition(definition: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (at, version) in definition["spec"]["versions"].as_array().into_iter().flatten().enumerate() {
        let place = format!("spec.versions[{at}].schema.openAPIV3Schema");
        let open_api = &version["schema"]["openAPIV3Schema"];
        if open_api.is_null() {
            errors.push(FieldError::required(place, "schemas are required"));
            continue;
        }
        let found = match Schema::parse(open_api) {
            Ok(schema) => check_rules(&schema),
            Err(errors) => errors,
        };
        errors.extend(found.into_iter().map(|error| error.below(&place)));
    }
    let strategy = definition["spec"]["conversion"]["strategy"].as_str().unwrap_or("None");
    if strategy != "None" {
        errors.push(super::request::unsupported("spec.conversion.strategy", strategy, &["None"]));
    }
    errors
}

/// A definition is deleted once its objects are.
pub(super) fn hold_until_cleaned(definition: &mut Value) {
    if metadata::is_deleting(definition) {
        return;
    }
    let mut finalizers = words(&definition["metadata"]["finalizers"]);
    if !finalizers.iter().any(|name| name == CLEANUP) {
        finalizers.push(CLEANUP.to_owned());
    }
    metadata::of(definition).insert("finalizers".into(), json!(finalizers));
    let mut conditions = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    set_condition(&mut conditions, "Terminating", "True", "InstanceDeletionPending", message);
    definition["status"]["conditions"] = json!(conditions);
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

pub(super) fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

/// Where the objects of a definition are stored.
pub(super) fn stored_at(definition: &Value) -> String {
    let spec = &definition["spec"];
    format!("{}/{}", text(spec, "group"), text(&spec["names"], "plural"))
}

/// The kinds a definition brings, one a served version.
fn resources(definition: &Value) -> Vec<Resource> {
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    versions.filter(|version| version["served"] == true).map(|version| resource(definition, version)).collect()
}

fn resource(definition: &Value, version: &Value) -> Resource {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let (group, plural) = (text(spec, "group"), text(names, "plural"));
    let subresources = &version["subresources"];
    let open_api = version["schema"]["openAPIV3Schema"].clone();
    let scale = subresources["scale"].as_object().map(|_| Scale {
        spec_replicas: text(&subresources["scale"], "specReplicasPath").to_owned(),
        status_replicas: text(&subresources["scale"], "statusReplicasPath").to_owned(),
        label_selector: subresources["scale"]["labelSelectorPath"].as_str().filter(|path| !path.is_empty()).map(str::to_owned),
    });
    Resource {
        group: group.to_owned(),
        version: text(version, "name").to_owned(),
        kind: text(names, "kind").to_owned(),
        list_kind: text(names, "listKind").to_owned(),
        plural: plural.to_owned(),
        singular: text(names, "singular").to_owned(),
        short_names: words(&names["shortNames"]),
        categories: words(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        status: subresources["status"].is_object(),
        scale,
        columns: columns(version),
        selectable: version["selectableFields"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|field| text(field, "jsonPath").trim_start_matches('.').to_owned())
            .collect(),
        schema: LazySchema::new(move || Schema::parse_trusted(&open_api)),
        custom: true,
        storage: format!("{group}/{plural}"),
        verbs: vec!["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    }
}

fn columns(version: &Value) -> Vec<Column> {
    let age = || Column {
        name: "Age".to_owned(),
        kind: "date".to_owned(),
        format: String::new(),
        description: AGE_DESCRIPTION.to_owned(),
        priority: 0,
        source: ColumnSource::Path(".metadata.creationTimestamp".to_owned()),
    };
    let Some(columns) = version["additionalPrinterColumns"].as_array().filter(|columns| !columns.is_empty()) else { return vec![age()] };
    let own = columns.iter().map(|column| {
        let path = text(column, "jsonPath");
        let description = match text(column, "description") {
            "" => format!("Custom resource definition column (in JSONPath format): {path}"),
            given => given.to_owned(),
        };
        Column {
            name: text(column, "name").to_owned(),
            kind: text(column, "type").to_owned(),
            format: text(column, "format").to_owned(),
            description,
            priority: column["priority"].as_i64().and_then(|priority| i32::try_from(priority).ok()).unwrap_or(0),
            source: ColumnSource::Path(path.to_owned()),
        }
    });
    own.collect()
}

/// Why the names of a definition cannot be had, if another kind of the group has them.
fn name_conflict(definition: &Value, others: &[Value]) -> Option<(&'static str, String)> {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let rivals = others
        .iter()
        .filter(|other| other["spec"]["group"] == spec["group"] && metadata::text(other, "name") != metadata::text(definition, "name"));
    let accepted: Vec<&Value> = rivals.map(|other| &other["status"]["acceptedNames"]).collect();
    let taken = |keys: &[&str], word: &str| {
        !word.is_empty()
            && accepted.iter().any(|names| {
                keys.iter().any(|key| names[*key] == word)
                    || names["shortNames"].as_array().is_some_and(|all| keys.contains(&"shortNames") && all.iter().any(|name| name == word))
            })
    };
    let resource_words = ["plural", "singular", "shortNames"];
    let kind_words = ["kind", "listKind"];
    let in_use = |reason, word: &str| (reason, format!("{word:?} is already in use"));
    // Of several conflicts the last is told, as in Kubernetes.
    let short_names = words(&names["shortNames"]);
    let short = short_names.iter().find(|word| taken(&resource_words, word)).map(|word| in_use("ShortNamesConflict", word));
    let named = |key, words: &[&str], reason| taken(words, text(names, key)).then(|| in_use(reason, text(names, key)));
    named("listKind", &kind_words, "ListKindConflict")
        .or_else(|| named("kind", &kind_words, "KindConflict"))
        .or(short)
        .or_else(|| named("singular", &resource_words, "SingularConflict"))
        .or_else(|| named("plural", &resource_words, "PluralConflict"))
}

/// Sets a condition; the time stays where the answer does.
fn set_condition(conditions: &mut Vec<Value>, kind: &str, status: &str, reason: &str, message: &str) {
    let mut condition =
        json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": metadata::now()});
    match conditions.iter_mut().find(|condition| condition["type"] == kind) {
        Some(present) => {
            if present["status"] == status {
                condition["lastTransitionTime"] = present["lastTransitionTime"].clone();
            }
            *present = condition;
        }
        None => conditions.push(condition),
    }
}

/// The definition with what the server says of it.
fn judged(definition: &Value, others: &[Value]) -> Value {
    let mut new = definition.clone();
    let mut conditions = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
    match name_conflict(definition, others) {
        None => {
            new["status"]["acceptedNames"] = definition["spec"]["names"].clone();
            set_condition(&mut conditions, "NamesAccepted", "True", "NoConflicts", "no conflicts found");
            set_condition(&mut conditions, "Established", "True", "InitialNamesAccepted", "the initial names have been accepted");
        }
        Some((reason, message)) => {
            set_condition(&mut conditions, "NamesAccepted", "False", reason, &message);
            if !conditions.iter().any(|condition| condition["type"] == "Established") {
                set_condition(&mut conditions, "Established", "False", "NotAccepted", "not all names are accepted");
            }
        }
    }
    new["status"]["conditions"] = json!(conditions);
    let mut stored = words(&definition["status"]["storedVersions"]);
    let current = definition["spec"]["versions"].as_array().into_iter().flatten().find(|version| version["storage"] == true);
    if let Some(name) = current.map(|version| text(version, "name").to_owned()).filter(|name| !stored.contains(name)) {
        stored.push(name);
    }
    new["status"]["storedVersions"] = json!(stored);
    new
}

fn holds(definition: &Value, kind: &str) -> bool {
    let conditions = definition["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|condition| condition["type"] == kind && condition["status"] == "True"))
}

fn is_established(definition: &Value) -> bool {
    holds(definition, "Established")
}

fn awaits_names(definition: &Value) -> bool {
    !holds(definition, "NamesAccepted") && !metadata::is_deleting(definition)
}

impl Api {
    /// Serves the kinds of all established definitions in the store and goes on with those that were being deleted.
    pub(super) fn load_definitions(&self) {
        let mut losers = false;
        for object in self.store().list(STORAGE, None, None, None).objects {
            let definition = object.value();
            if is_established(&definition) {
                self.serve(&definition);
            }
            losers |= awaits_names(&definition);
            if metadata::is_deleting(&definition) {
                self.definition_going(&definition);
            }
        }
        // The server may have stopped between a write and the judgement.
        if let (true, Ok(runtime)) = (losers, tokio::runtime::Handle::try_current()) {
            let api = self.clone();
            runtime.spawn(async move {
                if let Err(error) = api.judge_losers().await {
                    tracing::error!(%error, "cannot judge the names of definitions; change one of them or restart to try again");
                }
            });
        }
    }

    /// A definition has a new state: judges its names, says so in its status, and serves it as it is now.
    pub(super) async fn definition_written(&self, old: Option<&Value>, definition: &Value) -> Result<(), Status> {
        if old.is_some_and(|old| old["spec"] == definition["spec"] && is_established(definition)) {
            return Ok(());
        }
        self.judge(metadata::text(definition, "name")).await?;
        // It may have let go of names that another waits for.
        if old.is_some() { self.judge_losers().await } else { Ok(()) }
    }

    /// Judges again the definitions that did not get their names.
    pub(super) async fn judge_losers(&self) -> Result<(), Status> {
        for object in self.store().list(STORAGE, None, None, None).objects {
            if awaits_names(&object.value()) {
                self.judge(&object.key.name).await?;
            }
        }
        Ok(())
    }

    async fn judge(&self, name: &str) -> Result<(), Status> {
        // One at a time: two that look at the same moment would both get the name.
        let _turn = self.0.judging.lock().await;
        let key = Key::new(STORAGE, "", name);
        loop {
            let Some(present) = self.store().get(&key) else { return Ok(()) };
            let definition = present.value();
            let others: Vec<Value> = self.store().list(STORAGE, None, None, None).objects.iter().map(|object| object.value()).collect();
            let mut new = judged(&definition, &others);
            if new != definition {
                let writer =
                    Writer { manager: MANAGER, api_version: "apiextensions.k8s.io/v1", subresource: "status", time: &metadata::now() };
                let schema = self.definition_schema();
                fields::update(&schema, Some(&definition), &mut new, &writer);
                match self.store().write(Write::Update { key: key.clone(), expected: present.revision, value: new.clone() }).await {
                    Ok(stored) => new = stored.value(),
                    Err(WriteError::Conflict) => continue,
                    Err(WriteError::Missing) => return Ok(()),
                    Err(error) => return Err(Status::internal(error)),
                }
            }
            if is_established(&new) {
                self.serve(&new);
            }
            return Ok(());
        }
    }

    fn definition_schema(&self) -> std::sync::Arc<Schema> {
        let kinds = self.kinds();
        let found = kinds.get("apiextensions.k8s.io", "v1", "customresourcedefinitions");
        found.map(|resource| resource.schema().clone()).unwrap_or_default()
    }

    fn serve(&self, definition: &Value) {
        let spec = &definition["spec"];
        let (group, plural) = (text(spec, "group"), text(&spec["names"], "plural"));
        let origin = format!("{} {}", metadata::text(definition, "uid"), definition["metadata"]["generation"]);
        self.note_served(&stored_at(definition));
        self.registry().replace(group, plural, &origin, resources(definition));
    }

    /// A definition is gone: so is its kind, and its names are free.
    pub(super) async fn after_delete(&self, resource: &Resource, object: &Object) {
        if !is_definition(resource) {
            return;
        }
        let definition = object.value();
        let spec = &definition["spec"];
        self.registry().replace(text(spec, "group"), text(&spec["names"], "plural"), "", Vec::new());
        self.set_ending(&stored_at(&definition), false);
        if let Err(error) = self.judge_losers().await {
            tracing::error!(%error, "cannot give the names of a deleted definition to another; change that one or restart to try again");
        }
    }
}
