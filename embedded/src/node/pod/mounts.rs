//! Mount paths in texts. There are no mount namespaces: a volume is a folder somewhere else, so wherever a container's arguments or
//! environment name a mount path, the folder is put in its place.

use std::path::{Component, Path, PathBuf};

/// The mounts of one container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounts {
    /// Longest path first: an inner mount wins over an outer one.
    entries: Vec<(String, PathBuf)>,
    /// Paths below this one are of this machine already.
    kept: Option<String>,
}

impl Mounts {
    /// Mounts as pairs of mount path and folder (or file, with a sub path).
    pub fn new(entries: impl IntoIterator<Item = (String, PathBuf)>) -> Self {
        let mut entries: Vec<(String, PathBuf)> = entries
            .into_iter()
            .map(|(path, folder)| (path.trim_end_matches('/').to_owned(), folder))
            // A mount over the whole file system cannot be told from any other absolute path.
            .filter(|(path, _)| !path.is_empty())
            .collect();
        entries.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Self { entries, kept: None }
    }

    /// Leaves paths below this folder as they are: they were put in by the node, and a mount such as `/tmp` may hold them.
    #[must_use]
    pub fn keeping(self, folder: &Path) -> Self {
        let kept = folder.to_string_lossy().trim_end_matches('/').to_owned();
        Self { kept: Some(kept).filter(|kept| !kept.is_empty()), ..self }
    }

    /// The text with every mount path replaced: alone, as the beginning of a path, or inside a text such as `--data=/data/x` or
    /// `cat /data/x | wc`. What was put in is not looked at again.
    pub fn rewrite(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(kept) = self.kept.as_deref().filter(|kept| rest.starts_with(kept) && stands_alone(text, at, kept.len())) {
                out.push_str(kept);
                at += kept.len();
            } else if let Some((path, folder)) =
                self.entries.iter().find(|(path, _)| rest.starts_with(path.as_str()) && stands_alone(text, at, path.len()))
            {
                out.push_str(&folder.to_string_lossy());
                at += path.len();
            } else {
                let next = rest.chars().next().map_or(1, char::len_utf8);
                out.push_str(&rest[..next]);
                at += next;
            }
        }
        out
    }

    /// The folder of a path inside a mount.
    pub fn find(&self, path: &Path) -> Option<PathBuf> {
        self.entries.iter().find_map(|(mount, folder)| {
            path.strip_prefix(mount).ok().map(|rest| if rest.as_os_str().is_empty() { folder.clone() } else { folder.join(rest) })
        })
    }
}

/// Whether a path that occurs here is a whole path or the beginning of one, not the middle or part of a name. The path of a
/// `file:///…` address is a whole path, that of `http://host/…` is not.
fn stands_alone(text: &str, at: usize, length: usize) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '~' | '+' | '%');
    let before = match text[..at].chars().next_back() {
        None => true,
        Some('/') => text[..at].ends_with("://"),
        Some(')' | '}' | ']') => false,
        Some(other) => !is_name(other),
    };
    let mut after = text[at + length..].chars();
    let after = match after.next() {
        // A full stop may end a sentence, but not be followed by more of the name.
        Some('.') => after.next().is_none_or(|c| !is_name(c) && c != '/'),
        Some(other) => !is_name(other),
        None => true,
    };
    before && after
}

/// A path below a folder that came from a manifest: relative, and never out of the folder.
///
/// # Errors
/// Says what is wrong with it.
pub fn inside(folder: &Path, relative: &str) -> Result<PathBuf, String> {
    let path = Path::new(relative);
    let fine = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if fine { Ok(folder.join(path)) } else { Err(format!("path {relative:?} must be relative and must not contain '..'")) }
}
