//! RFC 6902.

use std::slice::from_ref;

use json_patch::{Patch, PatchOperation};
use serde_json::{Map, Value};

use crate::status::Status;

/// Most operations one patch may have, as in Kubernetes.
const MAX_OPERATIONS: usize = 10_000;

/// Most bytes that the `copy` operations of one patch may add: each could double the object.
const MAX_COPIED: usize = 3 * 1024 * 1024;

/// `target` with the operations of `patch` applied, all or none.
///
/// # Errors
/// 400 for a patch that is not a list of operations, 413 for one of too many, 422 where an operation fails: a `test` that does not
/// hold, a path that is not there.
pub fn json_patch(target: &Value, patch: &Value) -> Result<Value, Status> {
    let count = patch.as_array().map_or(0, Vec::len);
    if count > MAX_OPERATIONS {
        let message =
            format!("Request entity is too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {count}");
        return Err(Status::new(413, "RequestEntityTooLarge", message));
    }
    let patch: Patch = serde_json::from_value(patch.clone())
        .map_err(|error| Status::bad_request(format!("error decoding patch: the body must be a list of JSON patch operations: {error}")))?;
    let mut patched = target.clone();
    let mut copied = 0;
    for operation in &patch.0 {
        match operation {
            // A missing value passes for null: clients test so that a field is not there yet.
            PatchOperation::Test(test) if test.value.is_null() && test.path.resolve(&patched).is_err() => continue,
            PatchOperation::Copy(copy) => {
                copied += copy.from.resolve(&patched).map_or(0, |value| value.to_string().len());
                if copied > MAX_COPIED {
                    return Err(too_much_copied(copied));
                }
            }
            _ => {}
        }
        json_patch::patch_unsafe(&mut patched, from_ref(operation)).map_err(|_| rejected())?;
    }
    Ok(patched)
}

fn too_much_copied(copied: usize) -> Status {
    let message = format!(
        "Request entity is too large: Unable to complete the copy, the accumulated size increase of copy is {copied}, exceeding the limit {MAX_COPIED}"
    );
    Status::new(413, "RequestEntityTooLarge", message)
}

/// What Kubernetes says of every operation that fails.
fn rejected() -> Status {
    let mut status = Status::new(422, "Invalid", "the server rejected our request due to an error in our request");
    status.details = Some(Value::Object(Map::new()));
    status
}
