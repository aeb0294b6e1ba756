//! The CustomResourceDefinitions, made from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use kube::CustomResourceExt as _;

use crate::{Backup, Customer, IPOffice, ObjectStore, Registration, Restore, SimulatedSystem};

/// Every CustomResourceDefinition, in the order to apply them.
pub fn all() -> Vec<CustomResourceDefinition> {
    let mut all = declared();
    for version in all.iter_mut().flat_map(|definition| &mut definition.spec.versions) {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            drop_defaults_in_lists(schema, false);
            drop_unknown_formats(schema);
        }
    }
    all
}

/// The same with the defaults inside lists, which readers fill in.
pub(crate) fn declared() -> Vec<CustomResourceDefinition> {
    let mut all = vec![
        Customer::crd(),
        IPOffice::crd(),
        Registration::crd(),
        ObjectStore::crd(),
        Backup::crd(),
        Restore::crd(),
        SimulatedSystem::crd(),
    ];
    all.iter_mut().for_each(limit_name);
    all
}

/// Names of children derive from the object's, and have limits of their own: of a Secret 253 characters, of a pod's label 63.
fn limit_name(definition: &mut CustomResourceDefinition) {
    let (longest, why) = match definition.spec.names.kind.as_str() {
        "Customer" => (200, "the name of its Secret derives from it"),
        "SimulatedSystem" => (63, "the names and labels of its pod derive from it"),
        _ => return,
    };
    let rule = ValidationRule {
        rule: format!("self.metadata.name.size() <= {longest}"),
        message: Some(format!("metadata.name can have at most {longest} characters, because {why}; choose a shorter one")),
        ..ValidationRule::default()
    };
    for schema in definition.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut()) {
        schema.x_kubernetes_validations.get_or_insert_default().push(rule.clone());
    }
}

/// A default inside a list makes `kubectl apply` see a change for ever: it compares lists as a whole. Readers fill such fields in themselves.
fn drop_defaults_in_lists(schema: &mut JSONSchemaProps, in_list: bool) {
    if in_list {
        schema.default = None;
    }
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        drop_defaults_in_lists(property, in_list);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        drop_defaults_in_lists(items, true);
    }
}

/// Kubernetes knows no unsigned formats and warns of each; the bounds of such a number stand beside it.
fn drop_unknown_formats(schema: &mut JSONSchemaProps) {
    schema.format.take_if(|format| format.starts_with("uint"));
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(drop_unknown_formats);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        drop_unknown_formats(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        drop_unknown_formats(values);
    }
}

/// File name beside this crate and content of each, as `switchboard crds` writes them.
///
/// # Errors
/// None in practice: the types always serialise.
pub fn files() -> Result<Vec<(String, String)>, serde_yaml::Error> {
    all()
        .into_iter()
        .map(|definition| {
            let name = format!("{}.yaml", definition.spec.names.plural);
            Ok((name, format!("# Generated from crds/src by `make generate`. Do not edit.\n{}", serde_yaml::to_string(&definition)?)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::Value;

    use super::*;

    fn folder() -> &'static std::path::Path {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn the_yaml_beside_the_crate_is_what_the_types_say() {
        for (name, expected) in files().unwrap() {
            let committed = std::fs::read_to_string(folder().join(&name)).unwrap_or_default();
            assert!(committed == expected, "crds/{name} is out of date: run `make generate` and commit the result");
        }
        let count =
            std::fs::read_dir(folder()).unwrap().filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "yaml")).count();
        assert_eq!(count, all().len(), "a file in crds/ belongs to no kind");
    }

    fn walk(schema: &Value, path: &str, visit: &mut impl FnMut(&Value, &str)) {
        visit(schema, path);
        if let Some(properties) = schema["properties"].as_object() {
            for (name, child) in properties {
                walk(child, &format!("{path}.{name}"), visit);
            }
        }
        if schema["items"].is_object() {
            walk(&schema["items"], &format!("{path}[]"), visit);
        }
        if schema["additionalProperties"].is_object() {
            walk(&schema["additionalProperties"], &format!("{path}{{}}"), visit);
        }
    }

    fn spec_of(definition: &CustomResourceDefinition) -> Value {
        let schema = definition.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
        serde_json::to_value(schema).unwrap()["properties"]["spec"].clone()
    }

    #[test]
    fn every_field_of_a_spec_is_explained() {
        for definition in all() {
            walk(&spec_of(&definition), "spec", &mut |schema, path| {
                let explained = schema["description"].as_str().is_some_and(|text| text.len() > 3);
                assert!(explained || path.ends_with("[]"), "{} {path} has no documentation", definition.spec.names.kind);
            });
        }
    }

    #[test]
    fn lists_and_texts_of_a_spec_are_bounded_so_that_rules_have_bounded_costs() {
        for definition in all() {
            walk(&spec_of(&definition), "spec", &mut |schema, path| {
                let at = format!("{} {path}", definition.spec.names.kind);
                match schema["type"].as_str() {
                    Some("array") => assert!(schema["maxItems"].is_u64(), "{at} needs maxItems"),
                    Some("string") => {
                        assert!(schema["maxLength"].is_u64() || schema["enum"].is_array(), "{at} needs maxLength");
                    }
                    _ => {}
                }
            });
        }
    }

    #[test]
    fn every_format_is_one_that_a_server_knows() {
        for definition in all() {
            let schema = definition.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
            walk(&serde_json::to_value(schema).unwrap(), &definition.spec.names.kind, &mut |value, path| {
                if let Some(format) = value["format"].as_str() {
                    assert!(
                        ["int32", "int64", "double", "date-time", "byte"].contains(&format),
                        "{path}: a server warns of the format {format}"
                    );
                }
            });
        }
    }

    #[test]
    fn no_default_stands_inside_a_list_where_kubectl_would_report_it_as_a_change_for_ever() {
        for definition in all() {
            walk(&spec_of(&definition), "spec", &mut |schema, path| {
                assert!(!path.contains("[]") || schema["default"].is_null(), "{} {path} has a default", definition.spec.names.kind);
            });
        }
    }

    #[test]
    fn rules_stay_within_what_every_server_evaluates() {
        for definition in all() {
            walk(&spec_of(&definition), "spec", &mut |schema, path| {
                for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
                    let text = rule["rule"].as_str().unwrap();
                    for lacking in ["type(", ".?", "orValue", "cel.bind", "self._"] {
                        assert!(!text.contains(lacking), "{} {path}: {text} uses {lacking}", definition.spec.names.kind);
                    }
                    assert!(rule["message"].as_str().is_some_and(|m| m.len() > 20), "{path}: {text} needs a message that says what to do");
                }
            });
        }
    }
}
