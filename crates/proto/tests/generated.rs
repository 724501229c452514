//! The checked-in code is what the contract says.

#[path = "../codegen.rs"]
mod codegen;

use std::{collections::BTreeMap, fs, path::Path};

#[test]
fn generated_code_is_fresh() {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fresh = tempfile::tempdir().unwrap();
    codegen::generate(&crate_root.join("../../proto"), fresh.path()).unwrap();
    let (fresh, checked_in) = (contents(fresh.path()), contents(&crate_root.join("src/gen")));
    assert_eq!(
        fresh.keys().collect::<Vec<_>>(),
        checked_in.keys().collect::<Vec<_>>(),
        "src/gen holds other files than the contract makes: run `cargo xtask codegen`"
    );
    for (name, content) in &fresh {
        assert!(checked_in[name] == *content, "src/gen/{name} is stale: run `cargo xtask codegen`");
    }
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect()
}
