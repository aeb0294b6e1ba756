//! `switchboard crds`: writes the CustomResourceDefinitions.

use super::{CommandResult, say};
use crate::arguments::CrdsOptions;

/// Runs it.
pub fn run(options: &CrdsOptions) -> CommandResult {
    let files = crds::generate::files()?;
    let Some(folder) = &options.folder else {
        let documents: Vec<String> = files.into_iter().map(|(_, content)| format!("---\n{content}")).collect();
        say(documents.concat().trim_end());
        return Ok(());
    };
    for (name, content) in files {
        let path = folder.join(name);
        std::fs::write(&path, content)
            .map_err(|error| format!("cannot write {}: {error}; make the folder and see that it is writable", path.display()))?;
    }
    Ok(())
}
