//! Writes `schemas/*.json`, the schemas of the built-in kinds, from k8s-openapi's types and the facts beside them.
//!
//! Run it with `cargo run -p embedded --example generate_schemas` after an upgrade of k8s-openapi or a change to
//! `schemas/*.txt`. A test of the library fails while the files differ from what this program writes.

mod generate;

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    for file in generate::generate(&folder)? {
        std::fs::write(folder.join(&file.name), &file.text)?;
        eprintln!("{:>8} {}", file.text.len(), file.name);
    }
    Ok(())
}
