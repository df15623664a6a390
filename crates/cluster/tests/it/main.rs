//! Whole inventories from files as Helm, kubectl and the AWS CLI print them, and from a cluster's API.
#![allow(clippy::unwrap_used)]

mod errors;
mod forbidden;
mod live;
mod makers;
mod numbers;
mod pairing;
mod reach;
mod real;
mod robust;
mod running;
mod scaling;
mod selectors;
mod volumes;

use preflight_cluster::{Inventory, InventoryError, Pair, load};
use std::path::{Path, PathBuf};

/// A directory of recorded files.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/data").join(name)
}

/// A directory with files in it, gone at the end.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = folder.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn root(&self) -> PathBuf {
        self.0.path().to_owned()
    }
}

fn manifests(text: &str) -> Result<Inventory, InventoryError> {
    let folder = Folder::new(&[("a.yaml", text)]);
    load(&[folder.root()], &[], &[])
}

fn named(name: &str, eks: Option<&str>, ecs: Option<&str>) -> Pair {
    Pair { name: name.to_owned(), eks: eks.map(str::to_owned), ecs: ecs.map(str::to_owned) }
}
