//! Whether a schema is structural: what Kubernetes demands of `openAPIV3Schema` before it serves a kind by it.

use serde_json::{Map, Value};

use super::parse::{MAX_DEPTH, flag, strings, text};
use super::validate::validate_value;
use super::{Schema, decode};
use crate::status::FieldError;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// What a branch of `allOf`, `anyOf`, `oneOf` or `not` may not say: it only bounds what the node itself declares.
const NOT_IN_BRANCHES: [&str; 12] = [
    "type",
    "additionalProperties",
    "default",
    "title",
    "description",
    "nullable",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
];

/// Keys of JSON schema that Kubernetes refuses, with its words.
const UNSUPPORTED: [(&str, &str); 7] = [
    ("$ref", "$ref is not supported"),
    ("definitions", "definitions is not supported"),
    ("dependencies", "dependencies is not supported"),
    ("additionalItems", "additionalItems is not supported"),
    ("patternProperties", "patternProperties is not supported"),
    ("id", "id is not supported"),
    ("$schema", "$schema is not supported"),
];

/// The rules broken by an `openAPIV3Schema`, with paths below its root.
pub(super) fn check(open_api: &Value) -> Vec<FieldError> {
    let mut checker = Checker { errors: Vec::new() };
    let Some(root) = open_api.as_object() else {
        return vec![FieldError::required("", "schemas are required")];
    };
    if text(root, "type") != "object" {
        let value = Value::from(text(root, "type"));
        if text(root, "type").is_empty() {
            checker.errors.push(FieldError::required("type", "must not be empty at the root"));
        } else {
            checker.errors.push(FieldError::invalid("type", &value, "must be object at the root"));
        }
    }
    if flag(root, "nullable") {
        checker.errors.push(FieldError::forbidden("nullable", "nullable cannot be true at the root"));
    }
    checker.metadata(root, "");
    checker.node(root, "", 0);
    checker.errors
}

/// Defaults must keep the schema they belong to.
pub(super) fn check_defaults(schema: &Schema) -> Vec<FieldError> {
    let mut errors = Vec::new();
    visit_defaults(schema, "", &mut errors);
    errors
}

fn visit_defaults(schema: &Schema, path: &str, errors: &mut Vec<FieldError>) {
    if let Some(default) = &schema.default {
        let path = join(path, "default");
        let mut filled = default.clone();
        super::apply_defaults(schema, &mut filled);
        let unknown = decode::unknown_fields(schema, &filled);
        if unknown.is_empty() {
            errors.extend(validate_value(schema, &filled, &path));
        } else {
            errors.push(FieldError::invalid(&path, default, "must not have unknown fields"));
        }
    }
    for (name, child) in schema.properties.iter().filter(|(name, _)| name.as_str() != "metadata") {
        visit_defaults(child, &join(path, &format!("properties[{name}]")), errors);
    }
    if let Some(child) = &schema.additional {
        visit_defaults(child, &join(path, "additionalProperties"), errors);
    }
    if let Some(child) = &schema.items {
        visit_defaults(child, &join(path, "items"), errors);
    }
}

struct Checker {
    errors: Vec<FieldError>,
}

impl Checker {
    fn node(&mut self, node: &Map<String, Value>, path: &str, depth: usize) {
        if depth > MAX_DEPTH {
            self.errors.push(FieldError::forbidden(path, format!("the schema is nested deeper than {MAX_DEPTH} levels")));
            return;
        }
        self.supported(node, path);
        self.type_and_members(node, path);
        self.extensions(node, path);
        self.list(node, path);
        for (key, index, branch) in branches(node) {
            let place = join(path, &place(key, index));
            self.branch(branch, &place, node, path, depth + 1);
        }
        if let Some(properties) = node.get("properties").and_then(Value::as_object) {
            for (name, child) in properties {
                let path = join(path, &format!("properties[{name}]"));
                self.child(child, &path, "must not be empty for specified object fields", depth + 1);
            }
        }
        if let Some(child) = node.get("additionalProperties").filter(|child| child.is_object()) {
            self.child(child, &join(path, "additionalProperties"), "must not be empty for specified object fields", depth + 1);
        }
        match node.get("items") {
            Some(items @ Value::Object(_)) => {
                self.child(items, &join(path, "items"), "must not be empty for specified array items", depth + 1)
            }
            Some(Value::Array(_)) => {
                self.errors.push(FieldError::forbidden(join(path, "items"), "items must be a schema object and not an array"));
            }
            _ => {}
        }
    }

    fn child(&mut self, child: &Value, path: &str, without_type: &str, depth: usize) {
        let Some(node) = child.as_object() else {
            self.errors.push(FieldError::invalid(path, child, "must be a schema object"));
            return;
        };
        let typeless = flag(node, "x-kubernetes-int-or-string") || flag(node, "x-kubernetes-preserve-unknown-fields");
        if text(node, "type").is_empty() && !typeless {
            self.errors.push(FieldError::required(join(path, "type"), without_type));
        }
        self.node(node, path, depth);
    }

    fn supported(&mut self, node: &Map<String, Value>, path: &str) {
        for (key, message) in UNSUPPORTED {
            if node.contains_key(key) {
                self.errors.push(FieldError::forbidden(join(path, key), message));
            }
        }
        if flag(node, "uniqueItems") {
            let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            self.errors.push(FieldError::forbidden(join(path, "uniqueItems"), detail));
        }
        if let Some(pattern) = node.get("pattern").and_then(Value::as_str)
            && let Err(error) = regex::Regex::new(pattern)
        {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let detail = format!("must be a valid regular expression, but isn't: {reason}");
            self.errors.push(FieldError::invalid(join(path, "pattern"), &Value::from(pattern), detail));
        }
    }

    fn type_and_members(&mut self, node: &Map<String, Value>, path: &str) {
        let kind = text(node, "type");
        if !kind.is_empty() && !TYPES.contains(&kind) {
            let supported: Vec<Value> = TYPES.into_iter().map(Value::from).collect();
            self.errors.push(FieldError::not_supported(join(path, "type"), &Value::from(kind), &supported));
        }
        if kind == "array" && !node.get("items").is_some_and(|items| items.is_object() || items.is_array()) {
            self.errors.push(FieldError::required(join(path, "items"), "must be specified"));
        }
        match node.get("additionalProperties") {
            Some(Value::Bool(false)) => {
                self.errors.push(FieldError::forbidden(join(path, "additionalProperties"), "additionalProperties cannot be set to false"));
            }
            Some(value) if !value.is_null() && node.get("properties").and_then(Value::as_object).is_some_and(|p| !p.is_empty()) => {
                let detail = "additionalProperties and properties are mutual exclusive";
                self.errors.push(FieldError::forbidden(join(path, "additionalProperties"), detail));
            }
            _ => {}
        }
        if node.get("default").is_some_and(Value::is_null) && !flag(node, "nullable") {
            self.errors.push(FieldError::invalid(join(path, "default"), &Value::Null, "must not be null without nullable"));
        }
    }

    fn extensions(&mut self, node: &Map<String, Value>, path: &str) {
        let kind = text(node, "type");
        if node.get("x-kubernetes-preserve-unknown-fields").and_then(Value::as_bool) == Some(false) {
            let field = join(path, "x-kubernetes-preserve-unknown-fields");
            self.errors.push(FieldError::invalid(field, &Value::from(false), "must be true or undefined"));
        }
        if flag(node, "x-kubernetes-int-or-string") && !kind.is_empty() {
            let detail = "must be empty if x-kubernetes-int-or-string is true";
            self.errors.push(FieldError::forbidden(join(path, "type"), detail));
        }
        if flag(node, "x-kubernetes-embedded-resource") {
            if kind != "object" {
                let detail = "must be object if x-kubernetes-embedded-resource is true";
                let field = join(path, "type");
                self.errors.push(if kind.is_empty() {
                    FieldError::required(field, detail)
                } else {
                    FieldError::invalid(field, &Value::from(kind), detail)
                });
            }
            let has_properties = node.get("properties").and_then(Value::as_object).is_some_and(|properties| !properties.is_empty());
            if !has_properties && !flag(node, "x-kubernetes-preserve-unknown-fields") {
                let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
                self.errors.push(FieldError::required(join(path, "properties"), detail));
            }
            self.metadata(node, path);
        }
        let map_type = text(node, "x-kubernetes-map-type");
        if !map_type.is_empty() {
            if !["atomic", "granular"].contains(&map_type) {
                let supported = [Value::from("atomic"), Value::from("granular")];
                self.errors.push(FieldError::not_supported(join(path, "x-kubernetes-map-type"), &Value::from(map_type), &supported));
            }
            if kind != "object" {
                let detail = "must be object if x-kubernetes-map-type is specified";
                self.errors.push(FieldError::invalid(join(path, "type"), &Value::from(kind), detail));
            }
        }
    }

    /// `metadata` is known; a schema may bound the name and nothing else.
    fn metadata(&mut self, node: &Map<String, Value>, path: &str) {
        let Some(metadata) = node.get("properties").and_then(|properties| properties.get("metadata")).and_then(Value::as_object) else {
            return;
        };
        let path = join(path, "properties[metadata]");
        if text(metadata, "type") != "object" && !text(metadata, "type").is_empty() {
            self.errors.push(FieldError::invalid(join(&path, "type"), &metadata["type"], "must be object"));
        }
        let others = metadata.get("properties").and_then(Value::as_object).into_iter().flatten().any(|(name, _)| {
            // Exact as Kubernetes: bounds on these two are the only use of a metadata schema.
            name != "name" && name != "generateName"
        });
        if others || metadata.contains_key("additionalProperties") || metadata.contains_key("required") {
            let detail = "must not specify anything other than name and generateName, but metadata is implicitly specified";
            self.errors.push(FieldError::forbidden(path, detail));
        }
    }

    fn list(&mut self, node: &Map<String, Value>, path: &str) {
        let list_type = text(node, "x-kubernetes-list-type");
        let keys = strings(node.get("x-kubernetes-list-map-keys"));
        let type_field = join(path, "x-kubernetes-list-type");
        let keys_field = join(path, "x-kubernetes-list-map-keys");
        if !list_type.is_empty() && text(node, "type") != "array" {
            let detail = "must be array if x-kubernetes-list-type is specified";
            self.errors.push(FieldError::invalid(join(path, "type"), &Value::from(text(node, "type")), detail));
        }
        match list_type {
            "" | "atomic" | "set" if !keys.is_empty() => {
                let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
                self.errors.push(FieldError::invalid(type_field, &Value::from(list_type), detail));
            }
            "" | "atomic" => {}
            "set" => self.set_items(node, path),
            "map" if keys.is_empty() => {
                self.errors.push(FieldError::required(keys_field, "must not be empty if x-kubernetes-list-type is map"));
            }
            "map" => self.map_items(node, path, &keys),
            other => {
                let supported = ["atomic", "map", "set"].map(Value::from);
                self.errors.push(FieldError::not_supported(type_field, &Value::from(other), &supported));
            }
        }
    }

    fn set_items(&mut self, node: &Map<String, Value>, path: &str) {
        let Some(items) = node.get("items").and_then(Value::as_object) else { return };
        let atomic = match text(items, "type") {
            "object" => text(items, "x-kubernetes-map-type") == "atomic",
            "array" => matches!(text(items, "x-kubernetes-list-type"), "" | "atomic"),
            _ => true,
        };
        if !atomic {
            let field = join(path, "items.x-kubernetes-map-type");
            self.errors.push(FieldError::invalid(
                field,
                &Value::from(text(items, "x-kubernetes-map-type")),
                "must be atomic as item of a list with x-kubernetes-list-type=set",
            ));
        }
    }

    fn map_items(&mut self, node: &Map<String, Value>, path: &str, keys: &[String]) {
        let empty = Map::new();
        let items = node.get("items").and_then(Value::as_object).unwrap_or(&empty);
        if text(items, "type") != "object" {
            let detail = "must be object if parent array's x-kubernetes-list-type is map";
            self.errors.push(FieldError::invalid(join(path, "items.type"), &Value::from(text(items, "type")), detail));
        }
        let required = strings(items.get("required"));
        for (index, key) in keys.iter().enumerate() {
            let property = items.get("properties").and_then(|properties| properties.get(key)).and_then(Value::as_object);
            let Some(property) = property else {
                let detail = "entries must all be names of item properties";
                let field = join(path, &format!("x-kubernetes-list-map-keys[{index}]"));
                self.errors.push(FieldError::invalid(field, &Value::from(key.as_str()), detail));
                continue;
            };
            if matches!(text(property, "type"), "object" | "array") {
                let field = join(path, &format!("items.properties[{key}].type"));
                let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                self.errors.push(FieldError::invalid(field, &property["type"], detail));
            }
            if !required.contains(key) && !property.contains_key("default") {
                let field = join(path, &format!("items.properties[{key}].default"));
                let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
                self.errors.push(FieldError::required(field, detail));
            }
        }
    }

    /// A branch of a junction, together with the node `structure` that it bounds.
    fn branch(&mut self, branch: &Map<String, Value>, path: &str, structure: &Map<String, Value>, structure_path: &str, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        self.supported(branch, path);
        // The usual way to write int-or-string names both types; Kubernetes makes an exception for just that.
        let int_or_string = flag(structure, "x-kubernetes-int-or-string");
        for key in NOT_IN_BRANCHES.into_iter().filter(|key| branch.contains_key(*key) && !(int_or_string && *key == "type")) {
            let detail = if key == "nullable" { "must be false to be structural" } else { "must be undefined to be structural" };
            self.errors.push(FieldError::forbidden(join(path, key), detail));
        }
        for (name, child) in branch.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let declared = structure.get("properties").and_then(|properties| properties.get(name)).and_then(Value::as_object);
            self.below_branch(
                child,
                &join(path, &format!("properties[{name}]")),
                declared,
                structure_path,
                &format!("properties[{name}]"),
                depth,
            );
        }
        if let Some(items) = branch.get("items") {
            let declared = structure.get("items").and_then(Value::as_object);
            self.below_branch(items, &join(path, "items"), declared, structure_path, "items", depth);
        }
        for (key, index, inner) in branches(branch) {
            self.branch(inner, &join(path, &place(key, index)), structure, structure_path, depth + 1);
        }
    }

    fn below_branch(
        &mut self,
        child: &Value,
        path: &str,
        declared: Option<&Map<String, Value>>,
        structure_path: &str,
        member: &str,
        depth: usize,
    ) {
        let declared_path = join(structure_path, member);
        match (child.as_object(), declared) {
            (Some(child), Some(declared)) => self.branch(child, path, declared, &declared_path, depth + 1),
            (Some(_), None) => self.errors.push(FieldError::required(declared_path, format!("because it is defined in {path}"))),
            (None, _) => self.errors.push(FieldError::invalid(path, child, "must be a schema object")),
        }
    }
}

/// The branches of a node's junctions.
fn branches(node: &Map<String, Value>) -> impl Iterator<Item = (&'static str, Option<usize>, &Map<String, Value>)> {
    let lists = ["allOf", "anyOf", "oneOf"].into_iter().flat_map(move |key| {
        let list = node.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().enumerate().filter_map(move |(index, branch)| Some((key, Some(index), branch.as_object()?)))
    });
    lists.chain(node.get("not").and_then(Value::as_object).map(|branch| ("not", None, branch)))
}

fn place(key: &str, index: Option<usize>) -> String {
    index.map_or_else(|| key.to_owned(), |index| format!("{key}[{index}]"))
}

fn join(path: &str, part: &str) -> String {
    if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") }
}
