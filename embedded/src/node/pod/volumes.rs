//! Volumes as folders.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, DownwardAPIVolumeFile, KeyToPath, SecretProjection, ServiceAccountTokenProjection, Volume, VolumeProjection,
};

use super::environment::{Surroundings, field};
use super::mounts::inside;
use super::quantity;

/// Where volumes are made.
pub struct Places<'a> {
    /// The pod's volumes; vanishes with the pod.
    pub volumes: &'a Path,
    /// Persistent claims, one folder each.
    pub claims: &'a Path,
}

/// One file of a volume.
pub(super) struct Content {
    /// Below the volume's folder.
    pub path: String,
    /// What is in it.
    pub data: Vec<u8>,
    /// Permissions.
    pub mode: u32,
}

/// Makes a volume and returns its folder.
///
/// # Errors
/// What is missing or cannot be written, for the `FailedMount` event.
pub async fn make(volume: &Volume, places: &Places<'_>, around: &Surroundings<'_>) -> Result<PathBuf, String> {
    let folder = places.volumes.join(&volume.name);
    if let Some(claim) = &volume.persistent_volume_claim {
        return claim_folder(&claim.claim_name, places, around).await;
    }
    if let Some(host) = &volume.host_path {
        return host_folder(&host.path, host.type_.as_deref().unwrap_or_default());
    }
    let contents = if volume.empty_dir.is_some() {
        write(&folder, &[])?;
        return Ok(folder);
    } else if let Some(source) = &volume.config_map {
        let projection = ConfigMapProjection { name: source.name.clone(), items: source.items.clone(), optional: source.optional };
        config_map(&projection, mode(source.default_mode, 0o644), around).await?
    } else if let Some(source) = &volume.secret {
        let projection = SecretProjection {
            name: source.secret_name.clone().unwrap_or_default(),
            items: source.items.clone(),
            optional: source.optional,
        };
        secret(&projection, mode(source.default_mode, 0o600), around).await?
    } else if let Some(source) = &volume.downward_api {
        downward(source.items.as_deref().unwrap_or_default(), mode(source.default_mode, 0o644), around)?
    } else if let Some(source) = &volume.projected {
        let mut all = Vec::new();
        for part in source.sources.iter().flatten() {
            all.extend(projected(part, source.default_mode, around).await?);
        }
        all
    } else {
        return Err(format!(
            "volume {:?} is of a kind this node does not have; use emptyDir, configMap, secret, projected, downwardAPI, hostPath or persistentVolumeClaim",
            volume.name
        ));
    };
    replace(&folder, &contents)?;
    Ok(folder)
}

/// Makes a folder hold these files and no others.
pub(super) fn replace(folder: &Path, contents: &[Content]) -> Result<(), String> {
    write(folder, contents)?;
    remove_others(folder, folder, contents).map_err(|error| failed(folder, &error))
}

/// A key that was removed takes its file along. Links, which only the pod can have made, go too, and are never followed.
fn remove_others(folder: &Path, at: &Path, contents: &[Content]) -> io::Result<()> {
    for entry in fs::read_dir(at)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_others(folder, &path, contents)?;
        } else if !contents.iter().any(|content| folder.join(&content.path) == path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// The folder of a claim is named for its uid: a claim made again under the same name starts empty.
async fn claim_folder(name: &str, places: &Places<'_>, around: &Surroundings<'_>) -> Result<PathBuf, String> {
    let namespace = around.pod.metadata.namespace.as_deref().unwrap_or_default();
    let claim = around.cluster.claim(namespace, name).await?;
    let claim = claim.ok_or_else(|| format!("persistentvolumeclaim {name:?} not found"))?;
    if claim.metadata.deletion_timestamp.is_some() {
        return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
    }
    let uid = claim.metadata.uid.ok_or_else(|| format!("persistentvolumeclaim {name:?} has no uid"))?;
    let folder = inside(places.claims, &uid)?;
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    Ok(folder)
}

fn host_folder(path: &str, kind: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(path);
    let wrong = |what: &str| Err(format!("hostPath type check failed: {} is not {what}", path.display()));
    match kind {
        "DirectoryOrCreate" => fs::create_dir_all(&path).map_err(|error| failed(&path, &error))?,
        "FileOrCreate" if !path.exists() => drop(fs::File::create(&path).map_err(|error| failed(&path, &error))?),
        "Directory" if !path.is_dir() => return wrong("a directory"),
        "File" if !path.is_file() => return wrong("a file"),
        _ => {}
    }
    Ok(path)
}

async fn projected(part: &VolumeProjection, default_mode: Option<i32>, around: &Surroundings<'_>) -> Result<Vec<Content>, String> {
    if let Some(source) = &part.config_map {
        config_map(source, mode(default_mode, 0o644), around).await
    } else if let Some(source) = &part.secret {
        secret(source, mode(default_mode, 0o600), around).await
    } else if let Some(source) = &part.downward_api {
        downward(source.items.as_deref().unwrap_or_default(), mode(default_mode, 0o644), around)
    } else if let Some(source) = &part.service_account_token {
        token(source, around).await
    } else {
        Err("a projected volume has a source this node does not have; use configMap, secret, downwardAPI or serviceAccountToken".to_owned())
    }
}

async fn token(source: &ServiceAccountTokenProjection, around: &Surroundings<'_>) -> Result<Vec<Content>, String> {
    let token = around.tokens.get(around.cluster, around.pod, source.audience.as_deref(), source.expiration_seconds).await?;
    Ok(vec![Content { path: source.path.clone(), data: token.into_bytes(), mode: 0o600 }])
}

async fn config_map(source: &ConfigMapProjection, mode: u32, around: &Surroundings<'_>) -> Result<Vec<Content>, String> {
    let namespace = around.pod.metadata.namespace.as_deref().unwrap_or_default();
    let Some(map) = around.cluster.config_map(namespace, &source.name).await? else {
        return if source.optional == Some(true) { Ok(Vec::new()) } else { Err(format!("configmap {:?} not found", source.name)) };
    };
    let texts = map.data.into_iter().flatten().map(|(key, value)| (key, value.into_bytes()));
    let data = texts.chain(map.binary_data.into_iter().flatten().map(|(key, value)| (key, value.0))).collect();
    choose(data, source.items.as_deref(), source.optional, mode, &source.name)
}

async fn secret(source: &SecretProjection, mode: u32, around: &Surroundings<'_>) -> Result<Vec<Content>, String> {
    let namespace = around.pod.metadata.namespace.as_deref().unwrap_or_default();
    let Some(secret) = around.cluster.secret(namespace, &source.name).await? else {
        return if source.optional == Some(true) { Ok(Vec::new()) } else { Err(format!("secret {:?} not found", source.name)) };
    };
    let data = secret.data.into_iter().flatten().map(|(key, value)| (key, value.0)).collect();
    // Whatever mode is asked for, a secret is nobody else's: there is no container around it.
    choose(data, source.items.as_deref(), source.optional, mode & 0o700, &source.name)
}

fn choose(
    mut data: BTreeMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    default_mode: u32,
    name: &str,
) -> Result<Vec<Content>, String> {
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        return Ok(data.into_iter().map(|(path, data)| Content { path, data, mode: default_mode }).collect());
    };
    let mut contents = Vec::new();
    for item in items {
        match data.remove(&item.key) {
            Some(data) => contents.push(Content { path: item.path.clone(), data, mode: mode(item.mode, default_mode) }),
            None if optional == Some(true) => {}
            None => return Err(format!("{name:?} references non-existent key: {}", item.key)),
        }
    }
    Ok(contents)
}

fn downward(items: &[DownwardAPIVolumeFile], default_mode: u32, around: &Surroundings<'_>) -> Result<Vec<Content>, String> {
    let mut contents = Vec::new();
    for item in items {
        let text = if let Some(reference) = &item.field_ref {
            field(around, &reference.field_path)?
        } else if let Some(reference) = &item.resource_field_ref {
            let name = reference.container_name.as_deref().unwrap_or_default();
            let container = around.pod.spec.iter().flat_map(|spec| &spec.containers).find(|container| container.name == name);
            let container =
                container.ok_or_else(|| format!("downwardAPI file {:?} names container {name:?}, which there is not", item.path))?;
            quantity::resource_field(container, &reference.resource, reference.divisor.as_ref())?
        } else {
            String::new()
        };
        contents.push(Content { path: item.path.clone(), data: text.into_bytes(), mode: mode(item.mode, default_mode) });
    }
    Ok(contents)
}

fn mode(given: Option<i32>, otherwise: u32) -> u32 {
    given.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(otherwise) & 0o777
}

/// Each file appears whole under its name, so that a program that reads while a pod restarts sees the old or the new one.
fn write(folder: &Path, contents: &[Content]) -> Result<(), String> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(|error| failed(parent, &error))?;
    }
    real_folder(folder).map_err(|error| failed(folder, &error))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(|error| failed(folder, &error))?;
    for content in contents {
        let path = inside(folder, &content.path)?;
        let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
        real_folders(folder, &path).map_err(|error| failed(&path, &error))?;
        if is_file && fs::read(&path).is_ok_and(|present| present == content.data) {
            continue;
        }
        write_file(&path, content).map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}

/// The folders between a volume's folder and a file in it.
fn real_folders(folder: &Path, path: &Path) -> io::Result<()> {
    let mut at = folder.to_owned();
    for part in path.parent().and_then(|parent| parent.strip_prefix(folder).ok()).into_iter().flat_map(Path::components) {
        at.push(part);
        real_folder(&at)?;
    }
    Ok(())
}

/// Makes a folder unless it is there. A link in its place, planted by the pod, would lead out of the volume: it is removed.
fn real_folder(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::create_dir(path)
}

fn write_file(path: &Path, content: &Content) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let _ = fs::remove_file(&temporary);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    io::Write::write_all(&mut file, &content.data)?;
    file.set_permissions(fs::Permissions::from_mode(content.mode))?;
    fs::rename(&temporary, path)
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("cannot prepare {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::node::testing::Folder;

    fn content(path: &str) -> Content {
        Content { path: path.to_owned(), data: b"new".to_vec(), mode: 0o600 }
    }

    #[test]
    fn links_in_a_volume_are_removed_and_never_followed() {
        let root = Folder::new();
        let (host, folder) = (root.path().join("host"), root.path().join("volumes/v"));
        fs::create_dir_all(&host).unwrap();
        fs::write(host.join("precious"), "old").unwrap();
        write(&folder, &[content("a"), content("sub/precious")]).unwrap();
        // The pod puts links where folders and files were.
        fs::remove_dir_all(folder.join("sub")).unwrap();
        symlink(&host, folder.join("sub")).unwrap();
        symlink(&host, folder.join("more")).unwrap();
        fs::remove_file(folder.join("a")).unwrap();
        symlink(host.join("precious"), folder.join("a")).unwrap();
        let contents = [content("a"), content("sub/precious")];
        write(&folder, &contents).unwrap();
        remove_others(&folder, &folder, &contents).unwrap();
        assert_eq!(fs::read_to_string(host.join("precious")).unwrap(), "old");
        assert_eq!(fs::read_to_string(folder.join("sub/precious")).unwrap(), "new");
        assert!(fs::symlink_metadata(folder.join("a")).unwrap().is_file());
        assert!(fs::symlink_metadata(folder.join("more")).is_err());
        // And one in place of the whole volume.
        fs::remove_dir_all(&folder).unwrap();
        symlink(&host, &folder).unwrap();
        write(&folder, &[]).unwrap();
        remove_others(&folder, &folder, &[]).unwrap();
        assert_eq!(fs::read_to_string(host.join("precious")).unwrap(), "old");
    }
}
