//! Where the installed parts are. `cargo xtask test` and `cargo xtask aws-local` install them.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Names the folder of the parts; without it `target/parts` of the workspace.
pub const PARTS_VARIABLE: &str = "SWITCHBOARD_PARTS";

/// The folder of the installed parts.
#[derive(Clone, Debug)]
pub struct Parts {
    root: PathBuf,
}

impl Parts {
    /// The parts as the environment names them.
    ///
    /// # Errors
    /// If nothing is installed there; the error says what to run.
    pub fn installed() -> Result<Self> {
        let root = env::var_os(PARTS_VARIABLE).map_or_else(|| workspace().join("target/parts"), PathBuf::from);
        let parts = Self::at(root);
        for program in [parts.ministack(), parts.sam(), parts.dynamodb_local().join("DynamoDBLocal.jar")] {
            if !program.exists() {
                bail!("{} is not installed: run `cargo xtask parts`", program.display());
            }
        }
        Ok(parts)
    }

    /// The same folder whether or not anything is there yet.
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Virtual environment of `MiniStack`. Not that of `sam`: the two ask for different versions of boto3.
    pub fn ministack_venv(&self) -> PathBuf {
        self.root.join("ministack")
    }

    /// Virtual environment of `sam`, `cfn-lint` and `cargo-lambda`.
    pub fn sam_venv(&self) -> PathBuf {
        self.root.join("sam")
    }

    pub fn ministack(&self) -> PathBuf {
        self.ministack_venv().join("bin/ministack")
    }

    pub fn sam(&self) -> PathBuf {
        self.sam_venv().join("bin/sam")
    }

    pub fn cfn_lint(&self) -> PathBuf {
        self.sam_venv().join("bin/cfn-lint")
    }

    pub fn cargo_lambda(&self) -> PathBuf {
        self.sam_venv().join("bin/cargo-lambda")
    }

    /// A Python that has boto3.
    pub fn python(&self) -> PathBuf {
        self.sam_venv().join("bin/python")
    }

    /// Folder that holds `DynamoDBLocal.jar`.
    pub fn dynamodb_local(&self) -> PathBuf {
        self.root.join("node_modules/amplify-dynamodb-simulator/emulator")
    }
}

/// The workspace's root.
///
/// # Panics
/// Never: this package lies one folder below.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is a folder of the workspace")
}
