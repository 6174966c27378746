//! What callers rely on, checked on the file system of the machine that runs the tests.

use super::*;

#[test]
fn create_refuses_a_taken_name() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    OsDisk.create(&path).unwrap().write_at(0, b"mine").unwrap();
    let error = OsDisk.create(&path).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

#[test]
fn link_and_rename_noreplace_refuse_a_taken_name() {
    let root = tempfile::tempdir().unwrap();
    let (from, to) = (root.path().join("from"), root.path().join("to"));
    OsDisk.create(&from).unwrap();
    OsDisk.link(&from, &to).unwrap();
    assert_eq!(OsDisk.metadata(&from).unwrap().links, 2);
    assert_eq!(OsDisk.metadata(&from).unwrap().inode, OsDisk.metadata(&to).unwrap().inode);
    let linked = OsDisk.link(&from, &to).unwrap_err();
    assert_eq!(linked.kind(), io::ErrorKind::AlreadyExists);
    let renamed = OsDisk.rename_noreplace(&from, &to).unwrap_err();
    assert_eq!(renamed.kind(), io::ErrorKind::AlreadyExists);
    OsDisk.remove_file(&to).unwrap();
    OsDisk.rename_noreplace(&from, &to).unwrap();
    assert_eq!(OsDisk.list(root.path()).unwrap().len(), 1);
}

#[test]
fn an_open_file_reads_and_writes_at_positions() {
    let root = tempfile::tempdir().unwrap();
    let file = OsDisk.create(&root.path().join("file")).unwrap();
    file.write_at(4, b"tail").unwrap();
    let mut buffer = [1; 8];
    file.read_exact_at(0, &mut buffer).unwrap();
    assert_eq!(&buffer, b"\0\0\0\0tail");
    assert_eq!(file.read_at(8, &mut buffer).unwrap(), 0);
    file.set_len(6).unwrap();
    assert_eq!(file.len().unwrap(), 6);
    let error = file.read_exact_at(0, &mut buffer).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    file.sync().unwrap();
}

#[test]
fn metadata_describes_a_link_and_list_follows_it() {
    let root = tempfile::tempdir().unwrap();
    let (directory, link) = (root.path().join("directory"), root.path().join("link"));
    OsDisk.create_dir(&directory).unwrap();
    OsDisk.symlink(&directory, &link).unwrap();
    OsDisk.create(&link.join("b")).unwrap();
    OsDisk.create(&link.join("a")).unwrap();
    assert_eq!(OsDisk.metadata(&link).unwrap().kind, FileKind::Symlink);
    assert_eq!(OsDisk.read_link(&link).unwrap(), directory);
    let names: Vec<_> = OsDisk.list(&link).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn directories_can_be_synced_measured_and_removed_when_empty() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("directory");
    OsDisk.create_dir(&path).unwrap();
    OsDisk.set_mode(&path, 0o750).unwrap();
    assert_eq!(OsDisk.metadata(&path).unwrap().mode, 0o750);
    OsDisk.set_owner(&path, OsDisk.metadata(&path).unwrap().owner).unwrap();
    OsDisk.sync_dir(&path).unwrap();
    OsDisk.sync_filesystem(&path).unwrap();
    assert!(OsDisk.available_bytes(&path).unwrap() > 0);
    OsDisk.create(&path.join("file")).unwrap();
    let full = OsDisk.remove_dir(&path).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::DirectoryNotEmpty);
    let not_a_directory = OsDisk.sync_dir(&path.join("file")).unwrap_err();
    assert_eq!(not_a_directory.kind(), io::ErrorKind::NotADirectory);
    OsDisk.remove_file(&path.join("file")).unwrap();
    OsDisk.remove_dir(&path).unwrap();
}
