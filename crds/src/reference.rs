//! The reference of kinds for people (`docs/kinds.md`), made from the CustomResourceDefinitions, so that it cannot drift from them.

use std::fmt::Write as _;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use crate::generate;

const HEAD: &str = "# Reference of kinds

<!-- Generated from crds/src by `make generate`. Do not edit. -->

For every kind: the columns of `kubectl get`, every field of `spec` and `status`, and the rules that the API server checks. The same
texts are shown by `kubectl explain <kind>.<field>`. What the kinds are for, and what their conditions mean: [concepts.md](concepts.md).

How to read the tables: `[]` after a name is a list and the rows below it are about each item. *Required* stands where a field must be
given (inside its parent, where the parent is there). *(not stored)* stands at defaults inside lists: such a field stays absent in the
object, and counts as if it had the default. *Keyed by* names the field that must be unique in a list.
";

/// The whole page.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for definition in generate::declared() {
        kind(&mut page, &definition);
    }
    page
}

/// Writing to a string cannot fail.
fn line(page: &mut String, text: std::fmt::Arguments) {
    page.write_fmt(text).and_then(|()| page.write_str("\n")).expect("a string takes every text");
}

fn kind(page: &mut String, definition: &CustomResourceDefinition) {
    let spec = &definition.spec;
    let names = &spec.names;
    for version in &spec.versions {
        let Some(schema) = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref()) else { continue };
        line(page, format_args!("\n## {}\n\n{}\n", names.kind, cell(schema.description.as_deref().unwrap_or_default())));
        let short = names.short_names.as_deref().unwrap_or_default().join(", ");
        let categories = names.categories.as_deref().unwrap_or_default().join(", ");
        line(page, format_args!("| | |\n|---|---|\n| apiVersion | `{}/{}` |\n| scope | {} |", spec.group, version.name, spec.scope));
        line(page, format_args!("| plural, short | `{}`, `{short}` |\n| category | `{categories}` |", names.plural));
        columns(page, version);
        let properties = schema.properties.as_ref();
        for part in ["spec", "status"] {
            if let Some(schema) = properties.and_then(|properties| properties.get(part)) {
                fields(page, part, schema);
            }
        }
        rules(page, schema);
    }
}

fn columns(page: &mut String, version: &CustomResourceDefinitionVersion) {
    line(page, format_args!("\n### Columns\n\n| column | shown | from | meaning |\n|---|---|---|---|"));
    for column in version.additional_printer_columns.iter().flatten() {
        let shown = if column.priority.unwrap_or_default() > 0 { "with `-o wide`" } else { "always" };
        let meaning = column.description.as_deref().unwrap_or_default();
        line(page, format_args!("| {} | {shown} | `{}` | {} |", column.name, column.json_path.replace('|', "\\|"), cell(meaning)));
    }
}

fn fields(page: &mut String, part: &str, schema: &JSONSchemaProps) {
    line(page, format_args!("\n### {part}\n\n{}\n", cell(schema.description.as_deref().unwrap_or_default())));
    line(page, format_args!("| field | type | default | bounds | meaning |\n|---|---|---|---|---|"));
    rows(page, "", schema, false);
}

fn rows(page: &mut String, parent: &str, schema: &JSONSchemaProps, in_list: bool) {
    let required = schema.required.as_deref().unwrap_or_default();
    for (name, field) in schema.properties.iter().flatten() {
        let list = items(field);
        let path = format!("{parent}{name}{}", if list.is_some() { "[]" } else { "" });
        let default = default(field, required.contains(name), in_list);
        let meaning = cell(field.description.as_deref().unwrap_or_default());
        line(page, format_args!("| `{path}` | {} | {default} | {} | {meaning} |", type_of(field), bounds(field).join("; ")));
        rows(page, &format!("{path}."), list.unwrap_or(field), in_list || list.is_some());
    }
}

fn items(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match schema.items.as_ref()? {
        JSONSchemaPropsOrArray::Schema(items) => Some(items),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}

fn type_of(schema: &JSONSchemaProps) -> String {
    if let Some(items) = items(schema) {
        return format!("list of {}", type_of(items));
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        return format!("map to {}", type_of(values));
    }
    match (schema.type_.as_deref(), schema.format.as_deref()) {
        (Some("string"), Some("date-time")) => "time".to_owned(),
        (Some(word), _) => word.to_owned(),
        (None, _) => "any".to_owned(),
    }
}

fn default(schema: &JSONSchemaProps, required: bool, in_list: bool) -> String {
    match &schema.default {
        Some(value) => format!("`{}`{}", value.0.to_string().replace('|', "\\|"), if in_list { " *(not stored)*" } else { "" }),
        None if required => "*required*".to_owned(),
        None => String::new(),
    }
}

fn bounds(schema: &JSONSchemaProps) -> Vec<String> {
    let mut all = range(schema.min_length, schema.max_length, "characters");
    all.extend(range(schema.min_items, schema.max_items, "items"));
    all.extend(match (schema.minimum, schema.maximum) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}")),
        (Some(least), None) => Some(format!("at least {least}")),
        (None, Some(most)) => Some(format!("at most {most}")),
        (None, None) => None,
    });
    all.extend(schema.pattern.as_ref().map(|pattern| format!("matches `{}`", pattern.replace('|', "\\|"))));
    if let Some(words) = &schema.enum_ {
        let words: Vec<String> = words.iter().filter_map(|word| word.0.as_str()).map(|word| format!("`{word}`")).collect();
        all.push(format!("one of {}", words.join(", ")));
    }
    match schema.x_kubernetes_list_type.as_deref() {
        Some("set") => all.push("each once".to_owned()),
        Some("map") => all.push(format!("keyed by `{}`", schema.x_kubernetes_list_map_keys.as_deref().unwrap_or_default().join("`, `"))),
        _ => {}
    }
    if let Some(items) = items(schema).filter(|items| items.properties.is_none()) {
        all.extend(bounds(items).into_iter().map(|bound| format!("each {bound}")));
    }
    all
}

fn range(least: Option<i64>, most: Option<i64>, unit: &str) -> Vec<String> {
    match (least.filter(|least| *least > 0), most) {
        (Some(least), Some(most)) => vec![format!("{least} to {most} {unit}")],
        (Some(least), None) => vec![format!("at least {least} {unit}")],
        (None, Some(most)) => vec![format!("at most {most} {unit}")],
        (None, None) => Vec::new(),
    }
}

fn rules(page: &mut String, schema: &JSONSchemaProps) {
    let mut all = Vec::new();
    collect_rules(schema, "", &mut all);
    if all.is_empty() {
        return;
    }
    line(page, format_args!("\n### Rules\n\n| at | refused unless | message |\n|---|---|---|"));
    for (at, rule, message) in all {
        let at = if at.is_empty() { "the object" } else { at.as_str() };
        line(page, format_args!("| `{at}` | `{}` | {} |", rule.replace('|', "\\|"), cell(&message)));
    }
}

fn collect_rules(schema: &JSONSchemaProps, path: &str, all: &mut Vec<(String, String, String)>) {
    for rule in schema.x_kubernetes_validations.iter().flatten() {
        all.push((path.to_owned(), rule.rule.clone(), rule.message.clone().unwrap_or_default()));
    }
    for (name, child) in schema.properties.iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        collect_rules(child, &path, all);
    }
    if let Some(items) = items(schema) {
        collect_rules(items, &format!("{path}[]"), all);
    }
}

/// Text as it may stand in a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_page_in_docs_is_what_the_types_say() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kinds.md");
        let committed = std::fs::read_to_string(file).unwrap_or_default();
        assert!(committed == markdown(), "docs/kinds.md is out of date: run `make generate` and commit the result");
    }

    #[test]
    fn every_field_and_every_rule_is_on_the_page() {
        let page = markdown();
        for row in [
            "| `customer` | string | *required* | 1 to 253 characters |",
            "| `tags[]` | list of string |  | at most 5 items; each once; each 1 to 64 characters |",
            "| `servers[].role` | string | *required* | one of `Primary`, `Secondary`, `Expansion`, `ApplicationServer`, `UCM` |",
            "| `profile` | string | `\"IP500 V2\"` |",
            "| `causes.serviceUsers[].state` | string | `\"Enabled\"` *(not stored)* |",
            "| `conditions[]` | list of object |  | keyed by `type` |",
        ] {
            assert!(page.contains(row), "no row starts with {row}");
        }
        for definition in generate::all() {
            let text = serde_json::to_string(&definition).unwrap();
            let rules = text.matches("\"rule\":").count();
            let section = page.split(&format!("\n## {}\n", definition.spec.names.kind)).nth(1).unwrap().split("\n## ").next().unwrap();
            let listed = section.split("### Rules").nth(1).map_or(0, |table| table.lines().filter(|line| line.starts_with("| `")).count());
            assert_eq!(listed, rules, "rules of {}", definition.spec.names.kind);
        }
    }

    #[test]
    fn no_cell_breaks_its_table() {
        for row in markdown().lines().filter(|line| line.starts_with("| `")) {
            let cells = row.replace("\\|", "").matches('|').count() - 1;
            assert!(matches!(cells, 3 | 5), "{row}");
        }
    }
}
