//! What the commands around an object store have in common: how it is reached, and with which credentials.

use std::path::Path;

use archive::layout::{ROOT, customer_prefix, system_prefix};
use model::ids::SystemKey;
use model::secret::Secret;
use object_client::{Addressing, ObjectClient, Options};

use crate::arguments::StoreAccess;

/// Environment variables of the credentials, as Amazon's own tools name them.
const VARIABLES: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
/// Files of the credentials, as the keys of the Secret of an `ObjectStore` are named.
const FILES: [&str; 3] = ["accessKeyId", "secretAccessKey", "sessionToken"];

/// A client of the store that the options name.
pub fn client(options: &StoreAccess) -> Result<ObjectClient, Box<dyn std::error::Error>> {
    let authority = options.authority.as_deref().map(read).transpose()?;
    let [access_key_id, secret_access_key, session_token] = match &options.credentials {
        Some(folder) => from_folder(folder)?,
        None => VARIABLES.map(|name| std::env::var(name).ok()),
    };
    let missing = |index: usize| match &options.credentials {
        Some(folder) => {
            format!("the file {} is missing or empty; write the credentials of the store into it", folder.join(FILES[index]).display())
        }
        None => format!("{} is not set; set the credentials of the store, or name a folder with --credentials", VARIABLES[index]),
    };
    let options = Options {
        endpoint: options.endpoint.clone(),
        system_endpoint: None,
        region: options.region.clone(),
        bucket: options.bucket.clone(),
        prefix: options.prefix.clone(),
        addressing: if options.virtual_host { Addressing::VirtualHost } else { Addressing::Path },
        authority,
        encryption: None,
        object_lock: None,
        access_key_id: access_key_id.filter(|text| !text.is_empty()).ok_or_else(|| missing(0))?,
        secret_access_key: Secret::new(secret_access_key.filter(|text| !text.is_empty()).ok_or_else(|| missing(1))?),
        session_token: session_token.filter(|text| !text.is_empty()).map(Secret::new),
    };
    Ok(ObjectClient::new(options)?)
}

/// What the files of a folder say who may do everything in a store that is run here.
pub fn server_credentials(folder: &Path) -> Result<object_server::Credentials, String> {
    let [access_key_id, secret_access_key, _] = from_folder(folder)?;
    let missing = |index: usize| {
        format!(
            "the file {} is missing or empty; write the credentials into it that clients are to have",
            folder.join(FILES[index]).display()
        )
    };
    Ok(object_server::Credentials {
        access_key_id: access_key_id.filter(|text| !text.is_empty()).ok_or_else(|| missing(0))?,
        secret_access_key: secret_access_key.filter(|text| !text.is_empty()).ok_or_else(|| missing(1))?,
    })
}

/// Where the backups are that the options ask for.
pub fn prefix(options: &StoreAccess) -> String {
    match (&options.customer, &options.system) {
        (Some(customer), Some(system)) => system_prefix(&SystemKey { customer: customer.clone(), system: system.clone() }),
        (Some(customer), None) => customer_prefix(customer),
        (None, _) => ROOT.to_owned(),
    }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}; name a file with text that you may read", path.display()))
}

fn from_folder(folder: &Path) -> Result<[Option<String>; 3], String> {
    let mut found = [None, None, None];
    for (name, slot) in FILES.iter().zip(&mut found) {
        let path = folder.join(name);
        // An editor ends a file with a line break, which is no part of a key.
        *slot = if path.exists() { Some(read(&path)?.trim_end_matches(['\r', '\n']).to_owned()) } else { None };
    }
    Ok(found)
}
