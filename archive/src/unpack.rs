//! Whether the members of an archive may be unpacked. A small state machine for whoever reads a tar or zip: it is told of each member before
//! anything is written, and of its bytes as they come. It knows no archive format and touches no disk.
//!
//! ```
//! use archive::unpack::{Check, Limits, Member};
//! let mut check = Check::new(Limits::default());
//! let path = check.member(b"./prompts/welcome.wav", Member::File, 4)?;
//! assert_eq!(path.as_str(), "prompts/welcome.wav");
//! check.data(4)?;
//! assert!(check.member(b"../../etc/passwd", Member::File, 1).is_err());
//! # Ok::<(), archive::unpack::Refused>(())
//! ```

use std::collections::BTreeMap;

/// How much an archive may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most members, folders included.
    pub members: usize,
    /// Most bytes of one file.
    pub file_size: u64,
    /// Most bytes of all files, unpacked.
    pub total_size: u64,
    /// Longest path in bytes.
    pub path_length: usize,
    /// Most folders inside one another.
    pub depth: usize,
}

impl Default for Limits {
    /// For an element of a backup: 100 000 members, 64 GiB a file, 256 GiB in all, paths of 400 bytes, 16 folders deep.
    fn default() -> Self {
        Self { members: 100_000, file_size: 64 << 30, total_size: 256 << 30, path_length: 400, depth: 16 }
    }
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// A file with bytes of its own.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    SymbolicLink,
    /// Another name of a file.
    HardLink,
    /// A device, a pipe, a socket, or a type that is not known.
    Special,
}

/// A path that stays inside the folder it is unpacked into: parts separated by `/`, none of them empty, `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SafePath(String);

impl SafePath {
    /// The path; empty for the archive's own top folder, which some archives list as `./`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why an archive is not unpacked. After the first of these nothing more is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A name that leads out, or could.
    #[error(
        "member {0:?} of the archive has a path that is absolute or holds '..', and would be written outside its folder; use an archive that was not tampered with"
    )]
    Outside(String),
    /// A name that is none.
    #[error(
        "member {0:?} of the archive has a name that is empty, not UTF-8, or holds control characters, a backslash or an empty part; pack the files again under plain names"
    )]
    Name(String),
    /// Too long or too deep.
    #[error("member {0:?} of the archive has a path of more than {1} bytes or {2} folders; pack it again with shorter paths")]
    Long(String, usize, usize),
    /// A link or worse.
    #[error("member {0:?} of the archive is a {1}, and only files and folders are unpacked; pack the files themselves")]
    Type(String, &'static str),
    /// The same path twice, or a file where a folder is.
    #[error("member {0:?} of the archive would overwrite another member; pack it again with each path once")]
    Twice(String),
    /// Too many.
    #[error("the archive has more than {0} members; split it")]
    Members(usize),
    /// Too many bytes in a file.
    #[error("member {0:?} of the archive has {1} bytes; a file may have {2}")]
    FileSize(String, u64, u64),
    /// Too many bytes.
    #[error("the archive holds more than {0} bytes unpacked; split it")]
    TotalSize(u64),
    /// More or fewer bytes than announced.
    #[error("member {0:?} of the archive has not as many bytes as it announces; the archive is cut short or damaged, fetch it again")]
    Length(String),
    /// Something was refused before.
    #[error("the archive was refused before, at another member")]
    Earlier,
}

/// What was in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Contents {
    /// Files.
    pub files: usize,
    /// Folders that were members of their own.
    pub folders: usize,
    /// Bytes of all files.
    pub size: u64,
}

/// The state of checking one archive.
#[derive(Debug)]
pub struct Check {
    limits: Limits,
    seen: BTreeMap<String, Member>,
    contents: Contents,
    members: usize,
    /// The file whose bytes are coming, and how many are left.
    open: Option<(String, u64)>,
    refused: bool,
}

impl Check {
    /// Nothing seen yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, seen: BTreeMap::new(), contents: Contents::default(), members: 0, open: None, refused: false }
    }

    /// The next member: its name as the archive has it, what it is, and the bytes it announces. Gives the path to write to, below the folder
    /// that the caller chose.
    pub fn member(&mut self, name: &[u8], member: Member, size: u64) -> Result<SafePath, Refused> {
        self.stepping(|check| {
            check.closed()?;
            check.admit(name, member, size)
        })
    }

    /// The next bytes of the member that was last announced.
    pub fn data(&mut self, length: u64) -> Result<(), Refused> {
        self.stepping(|check| {
            let Some((path, left)) = &mut check.open else {
                return if length == 0 { Ok(()) } else { Err(Refused::Length(String::new())) };
            };
            *left = left.checked_sub(length).ok_or_else(|| Refused::Length(path.clone()))?;
            Ok(())
        })
    }

    /// The archive has ended.
    pub fn finish(mut self) -> Result<Contents, Refused> {
        self.stepping(Self::closed)?;
        Ok(self.contents)
    }

    fn stepping<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, Refused>) -> Result<T, Refused> {
        if self.refused {
            return Err(Refused::Earlier);
        }
        let result = step(self);
        self.refused = result.is_err();
        result
    }

    fn closed(&mut self) -> Result<(), Refused> {
        match self.open.take() {
            Some((path, left)) if left > 0 => Err(Refused::Length(path)),
            Some(_) | None => Ok(()),
        }
    }

    fn admit(&mut self, name: &[u8], member: Member, size: u64) -> Result<SafePath, Refused> {
        if self.members >= self.limits.members {
            return Err(Refused::Members(self.limits.members));
        }
        self.members += 1;
        let path = safe_path(name, &self.limits)?;
        let named = || shown(name);
        match member {
            Member::File if path.is_empty() || name.ends_with(b"/") => return Err(Refused::Name(named())),
            Member::File => {}
            Member::Folder if size > 0 => return Err(Refused::Length(named())),
            Member::Folder => {}
            Member::SymbolicLink => return Err(Refused::Type(named(), "symbolic link")),
            Member::HardLink => return Err(Refused::Type(named(), "hard link")),
            Member::Special => return Err(Refused::Type(named(), "device or other special file")),
        }
        if size > self.limits.file_size {
            return Err(Refused::FileSize(named(), size, self.limits.file_size));
        }
        let total = self.contents.size.checked_add(size).filter(|total| *total <= self.limits.total_size);
        let total = total.ok_or(Refused::TotalSize(self.limits.total_size))?;
        self.remember(&path, member, name)?;
        self.contents.size = total;
        match member {
            Member::File => self.contents.files += 1,
            _ => self.contents.folders += 1,
        }
        self.open = (member == Member::File).then(|| (path.clone(), size));
        Ok(SafePath(path))
    }

    /// A folder may be listed after what is in it, and again; a file is there once, and nothing is below it.
    fn remember(&mut self, path: &str, member: Member, name: &[u8]) -> Result<(), Refused> {
        let twice = || Refused::Twice(shown(name));
        for (at, _) in path.match_indices('/') {
            if *self.seen.entry(path[..at].to_owned()).or_insert(Member::Folder) == Member::File {
                return Err(twice());
            }
        }
        match (self.seen.insert(path.to_owned(), member), member) {
            (None, _) | (Some(Member::Folder), Member::Folder) => Ok(()),
            (Some(_), _) => Err(twice()),
        }
    }
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(120).collect()
}

fn safe_path(name: &[u8], limits: &Limits) -> Result<String, Refused> {
    let bad = || Refused::Name(shown(name));
    if name.len() > limits.path_length {
        return Err(Refused::Long(shown(name), limits.path_length, limits.depth));
    }
    let text = std::str::from_utf8(name).map_err(|_| bad())?;
    if text.is_empty() || text.chars().any(|c| c.is_control() || c == '\\') {
        return Err(bad());
    }
    if text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err(Refused::Outside(shown(name)));
    }
    // A tar of a folder names its members ./a and folders a/: both are harmless, an empty part in between is not usual.
    let inner = text.strip_suffix('/').unwrap_or(text);
    let parts: Vec<&str> = inner.split('/').filter(|part| *part != ".").collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(bad());
    }
    if parts.len() > limits.depth + 1 {
        return Err(Refused::Long(shown(name), limits.path_length, limits.depth));
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests;
