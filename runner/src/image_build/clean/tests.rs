//! Layers before and after.

use super::*;

const EPOCH: u64 = 1000;
const OURS: &str = "/etc/yum.repos.d/strata-updates.repo";

/// A layer of these paths, directories with a `/` behind, every entry younger than the epoch.
fn layer(paths: &[&str]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for path in paths {
        let mut header = Header::new_ustar();
        let is_directory = path.ends_with('/');
        header.set_entry_type(if is_directory { EntryType::Directory } else { EntryType::Regular });
        header.set_mode(0o755);
        header.set_mtime(EPOCH + 5);
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_mark = is_directory || name == INIT || name.starts_with(WHITEOUT);
        let content: &[u8] = if is_mark { b"" } else { b"content" };
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn paths(bytes: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        assert!(entry.header().mtime().unwrap() <= EPOCH);
        entry.path().unwrap().to_string_lossy().into_owned()
    });
    entries.collect()
}

fn cleaner() -> Cleaner {
    Cleaner::new(EPOCH, [OURS.to_owned()])
}

/// What is left of layers; with each the directories that were made for our files.
fn left(layers: &[(&[&str], &[&str])]) -> Vec<Vec<String>> {
    let mut cleaner = cleaner();
    let clean = |(raw, made): &(&[&str], &[&str])| {
        let made: BTreeSet<String> = made.iter().map(|&path| path.to_owned()).collect();
        let mut out = Vec::new();
        let digest = cleaner.layer(layer(raw).as_slice(), &made, &mut out).unwrap();
        assert_eq!(digest.is_none(), out.is_empty());
        paths(&out)
    };
    layers.iter().map(clean).collect()
}

const DIR: &str = "/etc/yum.repos.d";

#[test]
fn only_our_file_goes_from_a_directory_that_was_there() {
    let raw = ["etc/", "etc/yum.repos.d/", "etc/yum.repos.d/own.repo", &OURS[1..], "usr/"];
    let kept = ["etc/", "etc/yum.repos.d/", "etc/yum.repos.d/own.repo", "usr/"];
    assert_eq!(left(&[(&raw, &[])]), [kept]);
}

#[test]
fn a_directory_that_was_made_for_it_goes_with_it() {
    let alone = ["etc/", "etc/yum.repos.d/", "etc/yum.repos.d/.wh..wh..opq", &OURS[1..], "etc/zz"];
    let removed = ["etc/", "etc/.wh.yum.repos.d"];
    let layers: [(&[&str], &[&str]); 2] = [(&alone, &[DIR]), (&removed, &[])];
    assert_eq!(left(&layers), [vec!["etc/", "etc/zz"], vec!["etc/"]]);
}

#[test]
fn a_directory_stays_once_the_build_uses_it() {
    let own = "etc/yum.repos.d/a.repo";
    let used = ["etc/", "etc/yum.repos.d/", own, &OURS[1..]];
    let emptied = ["etc/", "etc/yum.repos.d/", "etc/yum.repos.d/.wh.a.repo"];
    let removed = ["etc/", "etc/.wh.yum.repos.d"];
    let layers: [(&[&str], &[&str]); 3] = [(&used, &[DIR]), (&emptied, &[]), (&removed, &[])];
    let kept = [&used[..3], &emptied, &removed];
    assert_eq!(left(&layers), kept);
}

#[test]
fn what_a_script_removes_is_removed_once() {
    // The parent's own directory goes in the first layer; in the second we make one.
    let gone = ["etc/", "etc/.wh.yum.repos.d"];
    let again = ["etc/", "etc/yum.repos.d/", &OURS[1..], "var/"];
    let ours_gone = ["etc/yum.repos.d/", "etc/yum.repos.d/.wh.strata-updates.repo"];
    let layers: [(&[&str], &[&str]); 3] = [(&gone, &[]), (&again, &[DIR]), (&ours_gone, &[])];
    assert_eq!(left(&layers), [vec!["etc/", "etc/.wh.yum.repos.d"], vec!["etc/", "var/"], vec![]]);
}

#[test]
fn the_engines_first_process_leaves_no_mount_point() {
    let nothing = ["sbin/", "sbin/docker-init"];
    let merged = ["usr/", "usr/sbin/", "usr/sbin/docker-init", "usr/sbin/httpd"];
    assert_eq!(
        left(&[(&nothing, &[]), (&merged, &[])]),
        [vec![], vec!["usr/", "usr/sbin/", "usr/sbin/httpd"]]
    );
}

#[test]
fn attributes_and_long_names_stay_and_times_do_not() {
    let long = format!("{}/file", "d".repeat(150));
    let mut builder = tar::Builder::new(Vec::new());
    let records: [(&str, &[u8]); 3] =
        [("mtime", b"1700000000.5"), ("SCHILY.xattr.user.a", b"b\nc"), ("path", long.as_bytes())];
    builder.append_pax_extensions(records).unwrap();
    let mut header = Header::new_ustar();
    header.set_size(1);
    header.set_mtime(EPOCH - 1);
    builder.append_data(&mut header, "short", &b"x"[..]).unwrap();
    let raw = builder.into_inner().unwrap();

    let mut out = Vec::new();
    let digest = cleaner().layer(raw.as_slice(), &BTreeSet::new(), &mut out).unwrap().unwrap();

    let mut archive = tar::Archive::new(out.as_slice());
    let entry = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!(entry.path_bytes(), long.as_bytes());
    assert_eq!(entry.header().mtime().unwrap(), EPOCH - 1);
    let has = |text: &[u8]| out.windows(text.len()).any(|window| window == text);
    assert!(has(b"SCHILY.xattr.user.a=b\nc\n") && !has(b"mtime"));
    let mut checksum = Checksum::new(HashType::Sha256).unwrap();
    checksum.update(&out);
    assert_eq!(digest, format!("sha256:{}", checksum.finish()));
    assert_eq!(out.len() % BLOCK_BYTES, 0);
}

#[test]
fn a_torn_header_is_an_error() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    header.set_size(9);
    builder.append_data(&mut header, "x", &b"99 a=b\nxx"[..]).unwrap();
    let raw = builder.into_inner().unwrap();
    assert!(cleaner().layer(raw.as_slice(), &BTreeSet::new(), Vec::new()).is_err());
}
