//! What tests of several rooms need: the plans of the examples.

use std::fs;
use std::path::{Path, PathBuf};

use soter_plan::check::{Input, Loaded, load};

/// The files of an example, as `soter check` would read the directory.
pub(crate) fn example(name: &str) -> Loaded {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    let inputs: Vec<Input> = paths
        .iter()
        .map(|path| Input { name: path.display().to_string(), bytes: fs::read(path).unwrap() })
        .collect();
    load(&inputs)
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("lab") {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            paths.push(path);
        }
    }
}
