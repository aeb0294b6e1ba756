//! Which image is which program of this machine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// An image, with or without its tag, and the program that runs in its place: `NAME=PROGRAM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageMapping {
    /// As pods name it.
    pub image: String,
    /// A file that can be executed.
    pub program: PathBuf,
}

impl FromStr for ImageMapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').filter(|(image, program)| !image.is_empty() && !program.is_empty());
        let (image, program) = parts.ok_or("say NAME=PROGRAM, for example nginx=/usr/sbin/nginx")?;
        let found = if program.contains('/') { Some(PathBuf::from(program)).filter(|path| is_executable(path)) } else { in_path(program) };
        let found = found.ok_or_else(|| format!("there is no program {program} that can be executed on this machine; name another"))?;
        let program = std::path::absolute(&found).map_err(|error| format!("the path of {} cannot be found: {error}", found.display()))?;
        Ok(Self { image: image.to_owned(), program })
    }
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_mapped_to_a_program_that_is_there() {
        let mapping = ImageMapping::from_str("registry:5000/tool=/bin/sh");
        assert_eq!(mapping, Ok(ImageMapping { image: "registry:5000/tool".to_owned(), program: "/bin/sh".into() }));
        assert!(ImageMapping::from_str("shell=sh").is_ok_and(|mapping| mapping.program.is_absolute()));
        for (text, part) in
            [("tool", "NAME=PROGRAM"), ("=sh", "NAME=PROGRAM"), ("a=", "NAME=PROGRAM"), ("a=/no/such", "/no/such"), ("a=/", "/")]
        {
            assert!(ImageMapping::from_str(text).is_err_and(|why| why.contains(part)), "{text}");
        }
    }
}
