//! The kinds a server serves: what discovery says of them and what the request pipeline needs to know.

use std::sync::{Arc, OnceLock};

use crate::schema::Schema;

/// One version of one kind. The same shape for built-in kinds and for those a CustomResourceDefinition brings.
#[derive(Debug, Clone)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: String,
    /// API version (`v1`).
    pub version: String,
    /// Kind (`ConfigMap`).
    pub kind: String,
    /// List kind (`ConfigMapList`).
    pub list_kind: String,
    /// Plural, lower case: the word in paths.
    pub plural: String,
    /// Singular, lower case.
    pub singular: String,
    /// Short names (`cm`).
    pub short_names: Vec<String>,
    /// Categories (`all`).
    pub categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether `/status` is served and the main endpoint ignores `status`.
    pub status: bool,
    /// `/scale`, where served.
    pub scale: Option<Scale>,
    /// Columns of `kubectl get`.
    pub columns: Vec<Column>,
    /// Field paths besides `metadata.name` and `metadata.namespace` that a field selector may name.
    pub selectable: Vec<String>,
    /// The structural schema of the whole object; read it through [`Resource::schema`].
    pub schema: LazySchema,
    /// From a CustomResourceDefinition: no strategic merge, resourceVersion required on PUT, `Kind.group` in validation errors.
    pub custom: bool,
    /// Key prefix in the store: kinds that share storage (events in two groups) share it.
    pub storage: String,
    /// Verbs served; all of create, delete, deletecollection, get, list, patch, update, watch unless limited.
    pub verbs: Vec<&'static str>,
}

/// Where `/scale` reads and writes, as paths like `.spec.replicas`.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Wanted replicas.
    pub spec_replicas: String,
    /// Observed replicas.
    pub status_replicas: String,
    /// Label selector in text form, where there is one.
    pub label_selector: Option<String>,
}

/// One column of a table.
#[derive(Debug, Clone)]
pub struct Column {
    /// Heading.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean`, `date`.
    pub kind: String,
    /// OpenAPI format (`name` for the name column), or empty.
    pub format: String,
    /// Explanation.
    pub description: String,
    /// 0 shows always, more only with `-o wide`.
    pub priority: i32,
    /// Where the cell comes from.
    pub source: ColumnSource,
}

/// Where a table cell comes from.
#[derive(Clone)]
pub enum ColumnSource {
    /// A Kubernetes JSONPath like `.status.phase`.
    Path(String),
    /// Computed, for built-in kinds.
    Computed(fn(&serde_json::Value) -> serde_json::Value),
}

impl std::fmt::Debug for ColumnSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(f, "Path({path})"),
            Self::Computed(_) => write!(f, "Computed"),
        }
    }
}

/// A schema that is built when it is first asked for.
///
/// Most of the built-in kinds are never touched in the life of one server: building all their schemas at the start would cost
/// more time and memory than everything else the start does. Clones share the result.
#[derive(Clone)]
pub struct LazySchema(Arc<LazyCell>);

struct LazyCell {
    built: OnceLock<Arc<Schema>>,
    build: Box<dyn Fn() -> Schema + Send + Sync>,
}

impl LazySchema {
    /// A schema made by `build`, which runs at most once.
    pub fn new(build: impl Fn() -> Schema + Send + Sync + 'static) -> Self {
        Self(Arc::new(LazyCell { built: OnceLock::new(), build: Box::new(build) }))
    }
    /// The schema, built now if this is the first call.
    pub fn get(&self) -> &Arc<Schema> {
        self.0.built.get_or_init(|| Arc::new((self.0.build)()))
    }
}

impl From<Arc<Schema>> for LazySchema {
    fn from(schema: Arc<Schema>) -> Self {
        let built = OnceLock::from(schema);
        Self(Arc::new(LazyCell { built, build: Box::new(Schema::default) }))
    }
}

impl From<Schema> for LazySchema {
    fn from(schema: Schema) -> Self {
        Arc::new(schema).into()
    }
}

impl std::fmt::Debug for LazySchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LazySchema({})", if self.0.built.get().is_some() { "built" } else { "not built" })
    }
}

impl Resource {
    /// The structural schema of the whole object.
    pub fn schema(&self) -> &Arc<Schema> {
        self.schema.get()
    }
    /// `group/version`, or just `version` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}
