//! The schema tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::compiled::Compiled;

/// JSON type of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// `object`.
    Object,
    /// `array`.
    Array,
    /// `string`.
    String,
    /// `integer`.
    Integer,
    /// `number`.
    Number,
    /// `boolean`.
    Boolean,
    /// `x-kubernetes-int-or-string`.
    IntOrString,
    /// No type said: anything goes (for example under `x-kubernetes-preserve-unknown-fields`).
    #[default]
    Any,
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ListKind {
    /// Owned and merged as a whole; the default.
    #[default]
    Atomic,
    /// Scalars, each of its own owner.
    Set,
    /// Objects identified by these keys.
    Map(Vec<String>),
}

/// `x-kubernetes-map-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MapKind {
    /// Each field of its own owner; the default.
    #[default]
    Granular,
    /// Owned as a whole.
    Atomic,
}

/// One `x-kubernetes-validations` entry.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rule {
    /// CEL expression over `self` (and `oldSelf`).
    pub rule: String,
    /// Text for the user, or empty.
    pub message: String,
    /// CEL expression that makes the text, or empty.
    pub message_expression: String,
    /// `FieldValueInvalid` (default), `FieldValueForbidden`, `FieldValueRequired`, `FieldValueDuplicate`.
    pub reason: String,
    /// Path below the node that the error names, for example `.replicas`; empty for the node itself.
    pub field_path: String,
    /// Whether the rule runs on creation too although it names `oldSelf`.
    pub optional_old_self: bool,
}

/// A node of a structural schema, shared by reference: cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// JSON type.
    pub kind: Kind,
    /// Whether `null` is a value rather than "absent".
    pub nullable: bool,
    /// `properties` of an object.
    pub properties: BTreeMap<String, Arc<Schema>>,
    /// `additionalProperties` of an object used as a map.
    pub additional: Option<Arc<Schema>>,
    /// `items` of an array.
    pub items: Option<Arc<Schema>>,
    /// `required`.
    pub required: Vec<String>,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub preserve_unknown: bool,
    /// `x-kubernetes-embedded-resource`: has its own apiVersion, kind and metadata.
    pub embedded_resource: bool,
    /// `x-kubernetes-list-type` with `x-kubernetes-list-map-keys`.
    pub list: ListKind,
    /// `x-kubernetes-map-type`.
    pub map: MapKind,
    /// `x-kubernetes-patch-merge-key`: how strategic merge identifies items. Built-in kinds only.
    pub patch_merge_key: Option<String>,
    /// `x-kubernetes-patch-strategy` has `merge`.
    pub patch_merge: bool,
    /// `x-kubernetes-patch-strategy` has `retainKeys`.
    pub patch_retain_keys: bool,
    /// `default`.
    pub default: Option<Value>,
    /// `enum`; empty is none.
    pub allowed: Vec<Value>,
    /// `format`, or empty.
    pub format: String,
    /// `pattern`, or empty.
    pub pattern: String,
    /// Bounds of numbers, with `exclusiveMinimum` / `exclusiveMaximum`.
    pub minimum: Option<f64>,
    /// See [`Schema::minimum`].
    pub maximum: Option<f64>,
    /// `exclusiveMinimum`.
    pub exclusive_minimum: bool,
    /// `exclusiveMaximum`.
    pub exclusive_maximum: bool,
    /// `multipleOf`.
    pub multiple_of: Option<f64>,
    /// Length in characters.
    pub min_length: Option<u64>,
    /// Length in characters.
    pub max_length: Option<u64>,
    /// Items of an array.
    pub min_items: Option<u64>,
    /// Items of an array.
    pub max_items: Option<u64>,
    /// `uniqueItems`.
    pub unique_items: bool,
    /// Properties of an object.
    pub min_properties: Option<u64>,
    /// Properties of an object.
    pub max_properties: Option<u64>,
    /// Value validation by `allOf`, `anyOf`, `oneOf`, `not`: these carry no types, only bounds.
    pub all_of: Vec<Schema>,
    /// See [`Schema::all_of`].
    pub any_of: Vec<Schema>,
    /// See [`Schema::all_of`].
    pub one_of: Vec<Schema>,
    /// See [`Schema::all_of`].
    pub not: Option<Box<Schema>>,
    /// `x-kubernetes-validations`.
    pub rules: Vec<Rule>,
    /// The OpenAPI `description`, for explain; empty where there is none.
    pub description: String,
    /// `title`, or empty.
    pub title: String,
    /// Patterns and rules made ready on first use. Leave it at its default.
    pub compiled: Compiled,
}

impl Schema {
    /// The schema of a member of an object: its property, else what `additionalProperties` says.
    pub fn field(&self, name: &str) -> Option<&Arc<Schema>> {
        self.properties.get(name).or(self.additional.as_ref())
    }
}
