use super::*;

/// An archive of files and symbolic links, by path.
fn archive(files: &[(&str, &[u8])], links: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, *content).unwrap();
    }
    for (path, target) in links {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive.append_link(&mut header, path, target).unwrap();
    }
    archive.into_inner().unwrap()
}

fn manifest(layers: &[&str]) -> Vec<u8> {
    serde_json::json!([{ "Config": "c.json", "RepoTags": [], "Layers": layers }])
        .to_string()
        .into_bytes()
}

fn read(bytes: &[u8]) -> Result<Exported, Unreadable> {
    let dir = tempfile::tempdir().unwrap();
    read_archive(bytes, Collector::new(dir.path().to_owned()))
}

fn sizes(exported: &Exported) -> Vec<u64> {
    exported.layers.iter().map(|layer| layer.unpacked_bytes).collect()
}

#[test]
fn layers_come_in_the_manifests_order() {
    let (small, big) = (archive(&[], &[]), archive(&[("a", b"x")], &[]));
    let manifest = manifest(&["b/layer.tar", "a/layer.tar"]);
    let files: [(&str, &[u8]); 4] = [
        ("a/layer.tar", &small),
        ("b/layer.tar", &big),
        ("c.json", b"{}"),
        ("manifest.json", &manifest),
    ];
    let exported = read(&archive(&files, &[])).unwrap();
    assert_eq!(sizes(&exported), [big.len() as u64, small.len() as u64]);
}

#[test]
fn the_same_layer_twice_is_a_link() {
    let layer = archive(&[("a", b"x")], &[]);
    let manifest = manifest(&["a/layer.tar", "b/layer.tar"]);
    let files: [(&str, &[u8]); 2] = [("a/layer.tar", &layer), ("manifest.json", &manifest)];
    let bytes = archive(&files, &[("b/layer.tar", "../a/layer.tar")]);
    assert_eq!(sizes(&read(&bytes).unwrap()), [layer.len() as u64; 2]);
}

#[test]
fn an_archive_that_lacks_what_it_names_is_refused() {
    let text = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert!(text(&archive(&[("a", b"")], &[])).contains("no manifest.json"));
    let manifest = manifest(&["a/layer.tar"]);
    let bytes = archive(&[("manifest.json", &manifest)], &[]);
    assert!(text(&bytes).contains("does not have a/layer.tar"));
    // The end of a stream that was cut off is no end of an archive.
    assert!(read(&bytes[..700]).is_err());
}

#[test]
fn in_the_oci_form_a_layer_is_known_by_what_it_is() {
    let (layer, empty) = (archive(&[("{", b"x")], &[]), vec![0; 1024]);
    let manifest = manifest(&["blobs/sha256/a", "blobs/sha256/b"]);
    let files: [(&str, &[u8]); 5] = [
        ("blobs/sha256/a", &layer),
        ("blobs/sha256/b", &empty),
        ("blobs/sha256/c", b"{\"a json\": true}"),
        ("index.json", b"{}"),
        ("manifest.json", &manifest),
    ];
    let exported = read(&archive(&files, &[])).unwrap();
    assert_eq!(sizes(&exported), [layer.len() as u64, 1024]);
}
