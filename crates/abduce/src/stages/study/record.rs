//! Where a study's trials are kept: a file in its folder, or a database.

use super::JOURNAL;
use crate::config::StorageConfig;
use crate::error::Error;
use abduce_inference::study::{JournalFile, Patience, PostgresLog, PostgresRecord, Storage};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The record as one worker sees it.
pub(super) type Shared = Box<dyn Storage + Send>;

/// Where it is.
pub(super) enum Place {
    File(PathBuf),
    Database {
        /// How to get there, with the password.
        config: Box<postgres::Config>,
        /// Without it.
        url: String,
        /// What the database calls the study: its folder, which is its own.
        study: String,
    },
}

impl Place {
    /// # Errors
    /// An address that cannot be one, or that holds a password.
    pub(super) fn new(storage: &StorageConfig, folder: &Path) -> Result<Self, Error> {
        let StorageConfig::Postgresql(url) = storage else {
            return Ok(Self::File(folder.join(JOURNAL)));
        };
        let refuse = |message: String, help: &str| Err(Error::Usage { message: format!("storage: {message}"), help: help.to_owned() });
        let mut config: postgres::Config = match url.parse() {
            Ok(config) => config,
            Err(error) => {
                return refuse(format!("`{url}` is no address of a database: {error}"), "such as postgresql://me@host:5432/studies");
            }
        };
        if config.get_password().is_some() {
            return refuse(
                "the address holds a password".into(),
                "leave it out and set the environment variable PGPASSWORD: the file is copied",
            );
        }
        if let Ok(password) = std::env::var("PGPASSWORD") {
            config.password(password);
        }
        config.application_name("abduce").connect_timeout(Duration::from_secs(30));
        let study = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf()).display().to_string();
        Ok(Self::Database { config: Box::new(config), url: url.clone(), study })
    }

    /// The record for one worker.
    pub(super) fn open(&self, owner: &str, interval: Duration) -> Result<Shared, Error> {
        let patience = Patience { interval, ..Patience::default() };
        Ok(match self {
            Self::File(path) => Box::new(JournalFile::open(path, owner, patience)?),
            Self::Database { config, url, study } => Box::new(PostgresRecord::connect(config, url, study, patience)?),
        })
    }

    pub(super) fn exists(&self) -> Result<bool, Error> {
        match self {
            Self::File(path) => Ok(path.exists()),
            Self::Database { config, url, study } => Ok(PostgresLog::connect(config, url, study)?.exists()?),
        }
    }

    pub(super) fn forget(&self) -> Result<(), Error> {
        match self {
            Self::File(path) => {
                remove(path)?;
                remove(&path.with_extension("snapshot.json"))
            }
            Self::Database { config, url, study } => Ok(PostgresLog::connect(config, url, study)?.forget()?),
        }
    }
}

/// Removes a file that may be there.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::File { action: "remove", path: path.to_path_buf(), source })
        }
        _ => Ok(()),
    }
}
