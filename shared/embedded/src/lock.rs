//! One `serve` or `dev` a data folder.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Holds `{data-dir}/lock` until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another `serve` or `dev` runs on {}: stop it, or take another folder with --data-dir", .0.display())]
    Held(PathBuf),
    #[error("the data folder {} cannot be used", .0.display())]
    Folder(PathBuf, #[source] io::Error),
}

impl Lock {
    /// Makes the folder if it is not there.
    pub fn take(data_dir: &Path) -> Result<Self, LockError> {
        let failed = |e| LockError::Folder(data_dir.to_owned(), e);
        create_data_dir(data_dir).map_err(failed)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(data_dir.join("lock"))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held(data_dir.to_owned())),
            Err(TryLockError::Error(e)) => Err(failed(e)),
        }
    }
}

/// Whether a `serve` or `dev` runs on the folder.
pub fn is_served(data_dir: &Path) -> io::Result<bool> {
    let file = match File::open(data_dir.join("lock")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    // Shared, so that two commands at once do not take each other for a `serve`.
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// For its owner alone: what lies in it are customers' events.
pub(crate) fn create_data_dir(data_dir: &Path) -> io::Result<()> {
    if fs::metadata(data_dir).is_ok_and(|found| found.is_dir()) {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_says_in_one_line_which_folder_is_taken() {
        let dir = tempfile::tempdir().expect("folder");
        let data_dir = dir.path().join("new/data");
        assert!(!is_served(&data_dir).expect("no folder yet"));
        let first = Lock::take(&data_dir).expect("the first");
        let message = Lock::take(&data_dir).expect_err("the second").to_string();
        assert!(message.contains(&data_dir.display().to_string()), "{message}");
        assert_eq!(message.lines().count(), 1);
        assert!(is_served(&data_dir).expect("readable"));
        drop(first);
        assert!(!is_served(&data_dir).expect("readable"));
        Lock::take(&data_dir).expect("free again");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().expect("folder");
        let file = dir.path().join("file");
        fs::write(&file, "").expect("file");
        let message = Lock::take(&file).expect_err("a file is no folder").to_string();
        assert!(message.contains(&file.display().to_string()), "{message}");
    }
}
