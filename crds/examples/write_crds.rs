//! Writes the CustomResourceDefinitions beside the crate: `make generate` runs it.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (name, content) in crds::generate::files()? {
        std::fs::write(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name), content)?;
    }
    Ok(())
}
