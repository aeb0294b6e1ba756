//! RFC 6902.

use json_patch::Patch;
use serde_json::{Map, Value};

use crate::status::Status;

/// Most operations one patch may have, as in Kubernetes.
const MAX_OPERATIONS: usize = 10_000;

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
    json_patch::patch_unsafe(&mut patched, &patch).map_err(|_| rejected())?;
    Ok(patched)
}

/// What Kubernetes says of every operation that fails.
fn rejected() -> Status {
    let mut status = Status::new(422, "Invalid", "the server rejected our request due to an error in our request");
    status.details = Some(Value::Object(Map::new()));
    status
}
