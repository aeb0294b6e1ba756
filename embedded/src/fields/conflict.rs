//! The error for an apply that would take fields from others.

use serde_json::{Value, json};

use super::element::PathElement;
use super::entries::Identity;
use super::set::{FieldSet, path_text};
use crate::status::Status;

/// What one manager would lose.
pub(super) struct Conflict {
    pub(super) identity: Identity,
    pub(super) fields: FieldSet,
}

/// 409 with one cause a field.
pub(super) fn error(mut conflicts: Vec<Conflict>) -> Status {
    conflicts.sort_by(|a, b| a.identity.cmp(&b.identity));
    let listed: Vec<(String, Vec<Vec<PathElement>>)> =
        conflicts.iter().map(|conflict| (conflict.identity.text(), conflict.fields.paths())).collect();
    let count: usize = listed.iter().map(|(_, paths)| paths.len()).sum();

    let mut causes = Vec::with_capacity(count);
    let mut lines = Vec::with_capacity(count + listed.len());
    for (manager, paths) in &listed {
        lines.push(format!("conflicts with {manager}:"));
        for path in paths {
            let path = path_text(path);
            causes.push(json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": path}));
            lines.push(format!("- {path}"));
        }
    }
    let message = match (listed.as_slice(), count) {
        ([(manager, paths)], 1) => {
            let path = paths.first().map(|path| path_text(path)).unwrap_or_default();
            format!("Apply failed with 1 conflict: conflict with {manager}: {path}")
        }
        _ => format!("Apply failed with {count} conflicts: {}", lines.join("\n")),
    };
    let mut status = Status::new(409, "Conflict", message);
    status.details = Some(Value::Object(std::iter::once(("causes".to_owned(), Value::Array(causes))).collect()));
    status
}
