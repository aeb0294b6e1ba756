//! Objects as rows of a table, and objects cut down to their metadata.

use std::cell::OnceCell;

use serde_json::{Value, json};

use crate::builtin::age;
use crate::resource::{Column, ColumnSource, Resource};
use crate::schema::jsonpath::Path;

const NAME_DESCRIPTION: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

/// How much of each object a row carries along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Include {
    Nothing,
    Metadata,
    Object,
}

impl Include {
    /// Reads `includeObject`.
    pub fn parse(text: &str) -> Self {
        match text {
            "None" => Self::Nothing,
            "Object" => Self::Object,
            _ => Self::Metadata,
        }
    }
}

/// Makes tables of one kind: the paths of its columns are parsed once.
pub(super) struct Tabulator<'a> {
    resource: &'a Resource,
    include: Include,
    paths: Vec<OnceCell<Option<Path>>>,
}

impl<'a> Tabulator<'a> {
    pub fn new(resource: &'a Resource, include: Include) -> Self {
        Self { resource, include, paths: resource.columns.iter().map(|_| OnceCell::new()).collect() }
    }

    /// A table. `metadata` is that of the list, or of the single object.
    pub fn table(&self, metadata: Value, objects: &[Value]) -> Value {
        let mut table = json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata});
        table["columnDefinitions"] = self.definitions();
        table["rows"] = objects.iter().map(|object| self.row(object)).collect();
        table
    }

    /// Whether the kind's own columns begin with the name; those of a CustomResourceDefinition do not.
    fn names_itself(&self) -> bool {
        self.resource.columns.first().is_some_and(|column| column.format == "name")
    }

    pub fn definitions(&self) -> Value {
        let mut definitions = Vec::new();
        if !self.names_itself() {
            definitions.push(json!({"name": "Name", "type": "string", "format": "name", "description": NAME_DESCRIPTION, "priority": 0}));
        }
        for column in &self.resource.columns {
            definitions.push(json!({
                "name": column.name, "type": column.kind, "format": column.format, "description": column.description, "priority": column.priority
            }));
        }
        Value::Array(definitions)
    }

    pub fn row(&self, object: &Value) -> Value {
        let mut cells = Vec::new();
        if !self.names_itself() {
            cells.push(object["metadata"]["name"].clone());
        }
        for (column, path) in self.resource.columns.iter().zip(&self.paths) {
            cells.push(match &column.source {
                ColumnSource::Computed(compute) => compute(object),
                ColumnSource::Path(text) => {
                    path.get_or_init(|| Path::parse(text).ok()).as_ref().map_or(Value::Null, |path| cell(column, path, object))
                }
            });
        }
        let mut row = json!({"cells": cells});
        match self.include {
            Include::Nothing => {}
            Include::Metadata => row["object"] = metadata_only(object),
            Include::Object => row["object"] = object.clone(),
        }
        row
    }
}

fn cell(column: &Column, path: &Path, object: &Value) -> Value {
    let found = path.all(object);
    let Some(first) = found.first() else { return Value::Null };
    match column.kind.as_str() {
        "string" => path.text(object).map_or(Value::Null, Value::from),
        "integer" => first.as_i64().or_else(|| first.as_f64().map(whole)).map_or(Value::Null, Value::from),
        "number" => {
            if first.is_number() {
                (*first).clone()
            } else {
                Value::Null
            }
        }
        "boolean" => {
            if first.is_boolean() {
                (*first).clone()
            } else {
                Value::Null
            }
        }
        "date" => first.as_str().map_or(Value::Null, |text| Value::from(age::since(Some(text)))),
        _ => Value::Null,
    }
}

/// A number without its fraction.
#[allow(clippy::cast_possible_truncation, reason = "out of range saturates, and a column shows it so")]
fn whole(number: f64) -> i64 {
    number as i64
}

/// Kind, apiVersion and metadata of an object as `PartialObjectMetadata`.
pub(super) fn metadata_only(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}
