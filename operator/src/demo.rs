//! The demo: 3 customers with 4 systems in different colours, applied once, at the first start with `--demo`.

use std::path::Path;

use kube::Client;

use crate::manifests;

/// The manifests, as a user would apply them.
const MANIFESTS: &str = include_str!("../../examples/demo/demo.yaml");
/// File in the data folder that says that the demo was applied: what the user deletes since then stays deleted.
const MARK: &str = "demo-applied";

/// Applies the demo, unless it was applied before.
pub async fn apply(client: &Client, data: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mark = data.join(MARK);
    if mark.exists() {
        return Ok(());
    }
    manifests::apply(client, manifests::parse("the demo", MANIFESTS)?).await?;
    std::fs::write(&mark, "").map_err(|error| format!("cannot write {}: {error}", mark.display()))?;
    Ok(())
}
