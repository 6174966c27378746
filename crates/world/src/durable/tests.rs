use super::*;
use crate::disk::OsDisk;

#[test]
fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("state");
    write_durable(&OsDisk, &path, b"first, and longer").unwrap();
    write_durable(&OsDisk, &path, b"second").unwrap();
    assert_eq!(read(&OsDisk, &path, 6).unwrap(), b"second");
    assert_eq!(OsDisk.list(root.path()).unwrap().len(), 1);
    assert_eq!(OsDisk.metadata(&path).unwrap().mode, 0o600);
}

#[test]
fn a_file_longer_than_the_limit_is_not_read() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("large");
    write_durable(&OsDisk, &path, b"12345").unwrap();
    let error = read(&OsDisk, &path, 4).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
}

#[test]
fn directories_are_made_with_their_parents_and_again_without_complaint() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b/c");
    create_dir_all_durable(&OsDisk, &path).unwrap();
    create_dir_all_durable(&OsDisk, &path).unwrap();
    assert_eq!(OsDisk.metadata(&path).unwrap().mode, 0o700);
    create_dir_all_durable(&OsDisk, Path::new(".")).unwrap();
    create_dir_all_durable(&OsDisk, Path::new("/")).unwrap();
}

#[test]
fn a_file_in_the_way_of_a_directory_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    write_durable(&OsDisk, &path, b"").unwrap();
    let error = create_dir_all_durable(&OsDisk, &path.join("below")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
}

#[test]
fn a_temporary_name_is_known_again() {
    let root = tempfile::tempdir().unwrap();
    let (path, _) = create_temporary(&OsDisk, &root.path().join("a.b")).unwrap();
    assert!(is_temporary(path.file_name().unwrap()), "{path:?}");
    for other in ["a", ".a", ".a.new", ".a.1.new", ".a.1-.new", ".a.1-2.news", "a.1-2.new"] {
        assert!(!is_temporary(OsStr::new(other)), "{other}");
    }
}

#[test]
fn a_tree_is_removed_with_all_in_it_and_nothing_that_it_leads_to() {
    let place = tempfile::tempdir().unwrap();
    let (tree, outside) = (place.path().join("tree"), place.path().join("outside"));
    OsDisk.create_dir(&outside).unwrap();
    OsDisk.create(&outside.join("kept")).unwrap();
    let mut deep = tree.clone();
    for _ in 0..50 {
        OsDisk.create_dir(&deep).unwrap();
        OsDisk.create(&deep.join("file")).unwrap();
        OsDisk.symlink(&outside, &deep.join("link")).unwrap();
        deep = deep.join("deeper");
    }
    remove_tree(&OsDisk, &tree).unwrap();
    assert!(OsDisk.metadata(&tree).is_err() && OsDisk.metadata(&outside.join("kept")).is_ok());
    remove_tree(&OsDisk, &tree).unwrap();
}
