//! Writes `docs/kinds.md`, the reference of kinds: `make generate` runs it.

fn main() -> std::io::Result<()> {
    std::fs::write(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kinds.md"), crds::reference::markdown())
}
