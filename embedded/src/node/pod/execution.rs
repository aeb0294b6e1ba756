//! From a container's manifest to what is executed.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Container;

use super::environment::Environment;
use super::mounts::Mounts;
use crate::node::options::Program;
use crate::node::process::Execution;

/// Puts together what is executed. `folder` is the container's own folder: its home and, unless the manifest says otherwise, its
/// working folder.
///
/// Without a `command`, the image's program runs with its leading arguments and the container's `args`. With one, that runs: the
/// image's program where the command's name is the program's or a path that only the image has, else the program of that name or path on
/// this machine.
///
/// # Errors
/// When there is no such program or folder.
pub fn plan(
    container: &Container,
    image: &Program,
    environment: &Environment,
    mounts: &Mounts,
    folder: &Path,
    marker: &str,
) -> Result<Execution, String> {
    let resolve = |words: Option<&Vec<String>>| -> Vec<String> {
        words.into_iter().flatten().map(|word| mounts.rewrite(&environment.expand(word))).collect()
    };
    let mut command = resolve(container.command.as_ref());
    let folder = working_folder(container.working_dir.as_deref(), mounts, folder)?;
    let mut execution = Execution {
        environment: environment.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        folder,
        marker: marker.to_owned(),
        ..Execution::default()
    };
    if command.is_empty() {
        execution.program = locate(&image.path.to_string_lossy(), &execution)?;
        execution.arguments.clone_from(&image.arguments);
    } else {
        let name = command.remove(0);
        let is_image = Path::new(&name).file_name() == image.path.file_name();
        execution.program = match locate(&name, &execution) {
            _ if is_image => image.path.clone(),
            Err(_) if Path::new(&name).is_absolute() => image.path.clone(),
            found => found?,
        };
        execution.arguments = command;
    }
    execution.arguments.extend(resolve(container.args.as_ref()));
    Ok(execution)
}

fn working_folder(wanted: Option<&str>, mounts: &Mounts, own: &Path) -> Result<PathBuf, String> {
    let folder = match wanted.filter(|wanted| !wanted.is_empty()) {
        None => own.to_owned(),
        // A path of the image: it exists in the container's own folder only.
        Some(wanted) => match mounts.find(Path::new(wanted)) {
            Some(folder) => folder,
            None => super::mounts::inside(own, wanted.trim_start_matches('/'))?,
        },
    };
    std::fs::create_dir_all(&folder).map_err(|error| format!("cannot make the working folder {}: {error}", folder.display()))?;
    Ok(folder)
}

/// Finds a program by its path, or by its name in the `PATH` of the execution.
///
/// # Errors
/// Words like a container runtime's.
pub fn locate(name: &str, execution: &Execution) -> Result<PathBuf, String> {
    let executable = |path: &Path| std::fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    if name.contains('/') {
        let path = execution.folder.join(name);
        return if executable(&path) { Ok(path) } else { Err(format!("exec: {name:?}: no such executable file on this machine")) };
    }
    let search =
        execution.environment.iter().find(|(variable, _)| variable == "PATH").map_or("/usr/local/bin:/usr/bin:/bin", |(_, value)| value);
    let found = search.split(':').map(|folder| Path::new(folder).join(name)).find(|path| executable(path));
    found.ok_or_else(|| format!("exec: {name:?}: executable file not found in $PATH"))
}
