//! Writes the files of the chart that are made from the code: `make generate` runs it.

use std::path::Path;

use controllers::rules::chart;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (name, content) in chart::files()? {
        let path = checkout.join(chart::FOLDER).join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(&checkout))?;
        std::fs::write(path, content)?;
    }
    Ok(())
}
