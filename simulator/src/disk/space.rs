//! Room on the disk, where the causes say how large it is.

use std::io;
use std::path::Path;

/// Bytes of all files below a folder. What vanishes meanwhile counts nothing.
///
/// # Errors
/// As the file system says.
pub fn used(folder: &Path) -> io::Result<u64> {
    let mut total = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = match std::fs::read_dir(&next) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) => total += metadata.len(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(total)
}

/// Bytes that are missing for `need` more on a disk of `megabytes` (10^6 bytes); 0 where they fit, and where the disk has no size of its own.
///
/// # Errors
/// As the file system says.
pub fn missing(folder: &Path, megabytes: Option<u32>, need: u64) -> io::Result<u64> {
    match megabytes {
        None => Ok(0),
        Some(megabytes) => Ok((used(folder)? + need).saturating_sub(u64::from(megabytes) * 1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn what_lies_on_the_disk_takes_room_from_what_is_to_come() {
        let folder = Folder::new();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/b"), vec![0; 600_000]).unwrap();
        assert_eq!(missing(folder.path(), Some(1), 400_000).unwrap(), 0);
        assert_eq!(missing(folder.path(), Some(1), 400_001).unwrap(), 1);
        assert_eq!(missing(folder.path(), None, u64::MAX).unwrap(), 0);
    }
}
