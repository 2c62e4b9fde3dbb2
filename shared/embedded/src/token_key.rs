//! The text under which tokens are sealed, where no `TOKEN_KEY` is given: a file in the data folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use shared::ids::hex;
use shared::ports::Chance;

use crate::lock::create_data_dir;

const NAME: &str = "token.key";
/// What the token key must have on AWS too: 43 characters of base64 are 256 bits.
const MIN_CHARS: usize = 43;
/// 64 of them, so that each takes 6 random bits evenly.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    #[error("the token key {} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    #[error("the token key {} cannot be made", .0.display())]
    NotMade(PathBuf, #[source] io::Error),
    #[error("the token key {} has fewer than {MIN_CHARS} characters: restore it, or delete it and install anew", .0.display())]
    TooShort(PathBuf),
}

/// The text in `{data_dir}/token.key`. The first time it is made: 64 random characters, readable by its owner alone.
pub fn token_key_file(data_dir: &Path, chance: &impl Chance) -> Result<SecretString, TokenKeyError> {
    let path = data_dir.join(NAME);
    if !path.exists() {
        make(data_dir, &path, chance).map_err(|e| TokenKeyError::NotMade(path.clone(), e))?;
    }
    let unreadable = |e| TokenKeyError::Unreadable(path.clone(), e);
    let mode = fs::metadata(&path).map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(file = %path.display(), "others may read the token key: chmod 600 it");
    }
    let text = fs::read_to_string(&path).map_err(unreadable)?;
    let text = text.trim();
    if text.chars().count() < MIN_CHARS {
        return Err(TokenKeyError::TooShort(path));
    }
    Ok(SecretString::from(text))
}

/// A key that is lost after tokens were sealed under it loses them, so it is on the disk, whole, before it is used.
fn make(data_dir: &Path, path: &Path, chance: &impl Chance) -> io::Result<()> {
    create_data_dir(data_dir)?;
    let draft = data_dir.join(format!("{NAME}.{}", hex(&chance.bytes::<8>())));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let key = chance.bytes::<64>().map(|byte| ALPHABET[usize::from(byte & 63)]);
    let written = file.write_all(&key).and_then(|()| file.sync_all());
    // A link never replaces what is there: of two that start at once both take the same key.
    let linked = written.and_then(|()| match fs::hard_link(&draft, path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    fs::remove_file(&draft)?;
    linked?;
    File::open(data_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use shared::ports::SystemChance;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().expect("folder");
        let first = token_key_file(dir.path(), &SystemChance).expect("made");
        assert_eq!(first.expose_secret().len(), 64);
        assert!(first.expose_secret().bytes().all(|b| ALPHABET.contains(&b)));
        let found = token_key_file(dir.path(), &SystemChance).expect("found");
        assert_eq!(first.expose_secret(), found.expose_secret());
        let mode = fs::metadata(dir.path().join(NAME)).expect("file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("folder").count(), 1, "no draft is left");
    }

    #[test]
    fn many_first_starts_at_once_take_one_key() {
        let dir = tempfile::tempdir().expect("folder");
        let keys: Vec<String> = std::thread::scope(|scope| {
            let start = || token_key_file(dir.path(), &SystemChance).expect("key").expose_secret().to_owned();
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            starts.into_iter().map(|start| start.join().expect("thread")).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_key_of_ones_own_counts_without_its_line_end_and_a_short_one_does_not() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join(NAME);
        fs::write(&path, format!("{}\n", "k".repeat(43))).expect("file");
        assert_eq!(token_key_file(dir.path(), &SystemChance).expect("key").expose_secret(), "k".repeat(43));
        fs::write(&path, "short").expect("file");
        let error = token_key_file(dir.path(), &SystemChance).expect_err("too short");
        assert!(matches!(error, TokenKeyError::TooShort(_)));
        assert!(!format!("{error} {error:?}").contains("\"short\""));
    }
}
