use super::*;

fn open(root: &Path) -> Result<DataDir, DataDirError> {
    DataDir::open(root, &Env::system(), &Owner::alone())
}
use std::collections::BTreeSet;

fn meta(group: u64) -> PartitionMeta {
    PartitionMeta::new([7; 16], group, 1)
}

fn folders(dir: &DataDir) -> Vec<String> {
    files::list(&dir.topics()).unwrap()
}

#[test]
fn the_same_directory_opens_again_with_the_same_identity() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("a/b");
    let first = open(&root).unwrap();
    let meta = first.meta().clone();
    assert_eq!(meta.cluster_id.len(), 22);
    drop(first);
    assert_eq!(open(&root).unwrap().meta(), &meta);
}

#[test]
fn a_second_opening_is_refused_and_says_who_has_it() {
    let temp = tempfile::tempdir().unwrap();
    let _first = open(temp.path()).unwrap();
    let error = open(temp.path()).unwrap_err().to_string();
    assert!(
        error.contains(&temp.path().display().to_string()),
        "{error}"
    );
    assert!(
        error.contains(&format!("pid {}", std::process::id())),
        "{error}"
    );
}

#[test]
fn another_format_is_refused_with_both_versions_named() {
    let temp = tempfile::tempdir().unwrap();
    drop(open(temp.path()).unwrap());
    // A newer version may have other fields: only the version counts.
    fs::write(
        temp.path().join("meta.json"),
        r#"{"version": 17, "shape": "new"}"#,
    )
    .unwrap();
    let error = open(temp.path()).unwrap_err();
    assert!(
        matches!(
            error,
            DataDirError::OtherFormat {
                found: 17,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
    fs::write(temp.path().join("meta.json"), r#"{"version": 1, "clus"#).unwrap();
    let error = open(temp.path()).unwrap_err();
    assert!(matches!(error, DataDirError::Damaged { .. }), "{error}");
}

#[test]
fn a_directory_that_lost_a_part_of_itself_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let dir = open(temp.path()).unwrap();
    dir.open_partition(&PartitionName::new("t", 0), &meta(1))
        .unwrap();
    drop(dir);
    let meta_json = fs::read(temp.path().join("meta.json")).unwrap();
    fs::remove_file(temp.path().join("meta.json")).unwrap();
    let error = open(temp.path()).unwrap_err();
    assert!(matches!(error, DataDirError::MetaMissing { .. }), "{error}");
    fs::write(temp.path().join("meta.json"), meta_json).unwrap();
    fs::remove_dir_all(temp.path().join("topics/__cluster_metadata-0")).unwrap();
    let error = open(temp.path()).unwrap_err();
    assert!(
        matches!(error, DataDirError::MetadataMissing { .. }),
        "{error}"
    );
}

#[test]
fn a_first_start_that_was_cut_short_is_finished() {
    let temp = tempfile::tempdir().unwrap();
    drop(open(temp.path()).unwrap());
    fs::remove_file(temp.path().join("meta.json")).unwrap();
    fs::create_dir(temp.path().join("topics/0.unfinished")).unwrap();
    let dir = open(temp.path()).unwrap();
    assert_eq!(folders(&dir), ["__cluster_metadata-0"]);
}

#[test]
fn a_folder_of_another_partition_is_set_aside() {
    let temp = tempfile::tempdir().unwrap();
    let dir = open(temp.path()).unwrap();
    let name = PartitionName::new("t", 3);
    let first = dir.open_partition(&name, &meta(1)).unwrap();
    assert!(first.created);
    fs::write(first.path.join("old"), "data").unwrap();
    assert!(!dir.open_partition(&name, &meta(1)).unwrap().created);
    let second = dir.open_partition(&name, &meta(2)).unwrap();
    assert!(second.created && !second.path.join("old").exists());
    assert_eq!(folders(&dir), ["1.0.stray", "__cluster_metadata-0", "t-3"]);
    assert_eq!(
        fs::read(temp.path().join("topics/1.0.stray/old")).unwrap(),
        b"data"
    );
}

#[test]
fn removing_frees_the_name_and_what_is_left_is_swept() {
    let temp = tempfile::tempdir().unwrap();
    let dir = open(temp.path()).unwrap();
    let name = PartitionName::new("t", 0);
    dir.open_partition(&name, &meta(1)).unwrap();
    let remove = |group| {
        let removed = dir.remove_partitions(&[(name.clone(), GroupId(group))]);
        assert!(removed.is_ok(), "{removed:?}");
    };
    remove(2);
    assert_eq!(
        folders(&dir),
        ["__cluster_metadata-0", "t-0"],
        "it is another group's"
    );
    remove(1);
    remove(1);
    assert_eq!(folders(&dir), ["__cluster_metadata-0"]);
    drop(dir);
    fs::create_dir(temp.path().join("topics/5.deleted")).unwrap();
    let dir = open(temp.path()).unwrap();
    assert_eq!(folders(&dir), ["__cluster_metadata-0"]);
}

#[test]
fn unknown_partitions_are_set_aside_and_known_ones_stay() {
    let temp = tempfile::tempdir().unwrap();
    let dir = open(temp.path()).unwrap();
    dir.open_partition(&PartitionName::new("a", 0), &meta(1))
        .unwrap();
    dir.open_partition(&PartitionName::new("b", 0), &meta(2))
        .unwrap();
    let known = BTreeSet::from(["a-0".to_owned(), PartitionName::metadata().to_string()]);
    dir.set_strays_aside(&known).unwrap();
    assert_eq!(folders(&dir), ["2.0.stray", "__cluster_metadata-0", "a-0"]);
}

#[test]
fn only_a_number_written_plainly_makes_a_partition() {
    assert_eq!(
        PartitionName::parse("a-b-12"),
        Some(PartitionName::new("a-b", 12))
    );
    for folder in ["a", "a-", "-1", "a-01", "a-+1", "a-4294967296", "3.deleted"] {
        assert_eq!(PartitionName::parse(folder), None, "{folder}");
    }
}

/// Whatever a crash left of it: a node without directories on record asks again, and writes the same once more.
#[test]
fn an_incarnation_is_on_record_with_the_directories_or_not_at_all() {
    let temp = tempfile::tempdir().unwrap();
    let owner = Owner {
        node: NodeId::new(3).unwrap(),
        cluster_id: Some("of the cluster".to_owned()),
    };
    let open = || DataDir::open(temp.path(), &Env::system(), &owner).unwrap();
    let replica = |dir: &DataDir| {
        let folder = dir.partition_path(&PartitionName::metadata());
        PartitionMeta::read(&folder).unwrap().unwrap().replica_id
    };
    let directories = BTreeMap::from([(1, "a".to_owned()), (2, "b".to_owned())]);
    drop(open());
    let before = fs::read(temp.path().join("meta.json")).unwrap();
    open().record_incarnation(2, directories.clone()).unwrap();
    // The power went between the two files.
    let after = fs::read(temp.path().join("meta.json")).unwrap();
    fs::write(temp.path().join("meta.json"), before).unwrap();
    let mut dir = open();
    assert_eq!(
        (dir.meta().incarnation, dir.meta().directories.len()),
        (0, 0)
    );
    dir.record_incarnation(2, directories.clone()).unwrap();
    drop(dir);
    assert_eq!(fs::read(temp.path().join("meta.json")).unwrap(), after);
    let dir = open();
    assert_eq!(dir.meta().incarnation, 2);
    assert_eq!(dir.meta().directories, directories);
    assert_eq!(replica(&dir), 2 << 32 | 3);
}
