//! Which form of an answer the client takes: the `Accept` header.

use crate::status::Status;

/// In what shape objects are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// As they are.
    Object,
    /// As rows of a table.
    Table,
    /// Only their metadata.
    Metadata,
    /// Discovery of all groups in one document.
    Aggregated,
}

/// In what syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Json,
    Yaml,
}

/// What was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    pub shape: Shape,
    pub syntax: Syntax,
}

impl Form {
    /// Plain JSON.
    pub const JSON: Self = Self { shape: Shape::Object, syntax: Syntax::Json };

    /// Takes the first of the client's wishes that can be met.
    pub fn negotiate(accept: &str) -> Result<Self, Status> {
        if accept.trim().is_empty() {
            return Ok(Self::JSON);
        }
        accept.split(',').find_map(Self::of_media_type).ok_or_else(|| {
            let mut status =
                Status::new(406, "NotAcceptable", "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml");
            status.details = Some(serde_json::json!({}));
            status
        })
    }

    fn of_media_type(wish: &str) -> Option<Self> {
        let mut parts = wish.split(';').map(str::trim);
        let syntax = match parts.next()?.to_ascii_lowercase().as_str() {
            "application/json" | "*/*" | "application/*" => Syntax::Json,
            "application/yaml" => Syntax::Yaml,
            _ => return None,
        };
        let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
        let find = |key: &str| parameters.iter().find(|(k, _)| *k == key).map(|(_, value)| *value);
        let shape = match (find("as"), find("g"), find("v")) {
            (None, ..) => Shape::Object,
            (Some("Table"), Some("meta.k8s.io"), Some("v1")) => Shape::Table,
            (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), Some("meta.k8s.io"), Some("v1")) => Shape::Metadata,
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => Shape::Aggregated,
            _ => return None,
        };
        Some(Self { shape, syntax })
    }
}
