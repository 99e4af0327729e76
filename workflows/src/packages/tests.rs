use super::*;
use crate::evidence::PackageKind;

#[test]
fn databases_are_known_by_their_paths() {
    for (path, database) in [
        ("var/lib/dpkg/status", Some(Database::Dpkg)),
        ("var/lib/dpkg/status-old", None),
        ("var/lib/dpkg/status.d/base", Some(Database::Dpkg)),
        ("var/lib/dpkg/status.d/base.md5sums", None),
        ("var/lib/dpkg/status.d/.wh.base", None),
        ("var/lib/dpkg/status.d/a/b", None),
        ("var/lib/rpm/rpmdb.sqlite", Some(Database::RpmSqlite)),
        ("usr/lib/sysimage/rpm/rpmdb.sqlite", Some(Database::RpmSqlite)),
        ("usr/lib/sysimage/rpm/rpmdb.sqlite-wal", Some(Database::RpmSqliteLog)),
        ("usr/lib/sysimage/rpm/Packages.db", Some(Database::RpmNdb)),
        ("var/lib/rpm/Packages", Some(Database::RpmBdb)),
        ("var/lib/rpm/__db.001", None),
        ("Packages", None),
    ] {
        assert_eq!(Database::at(path), database, "{path}");
    }
}

/// The least that RPM's database can hold of a package.
fn header(name: &str) -> Vec<u8> {
    let text = format!("{name}\0");
    let be = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
    let entry = |tag: usize| [be(tag), be(6), be(0), be(1)].concat();
    let entries = [1000, 1001, 1002].map(entry).concat();
    [&be(3)[..], &be(text.len()), &entries, text.as_bytes()].concat()
}

#[test]
fn packages_come_once_and_in_order() {
    let mut packages = Packages::default();
    let headers = [Ok(header("b")), Ok(header("a")), Ok(header("b"))];
    packages.rpm_database(10_000).add_all(headers).unwrap();
    parse_dpkg(b"Package: z\nVersion: 1\n", &mut packages).unwrap();
    let found: Vec<_> =
        packages.into_sorted().into_iter().map(|package| (package.kind, package.name)).collect();
    let expected = [(PackageKind::Deb, "z"), (PackageKind::Rpm, "a"), (PackageKind::Rpm, "b")];
    assert_eq!(found, expected.map(|(kind, name)| (kind, name.to_owned())));
}

#[test]
fn entries_that_share_their_bytes_come_to_an_end() {
    let one = header("a");
    let mut endless = 0..usize::MAX;
    let headers = std::iter::from_fn(|| endless.next().map(|_| Ok(&one)));
    let mut packages = Packages::default();
    let mut database = packages.rpm_database(100 * one.len() as u64);
    let error = database.add_all(headers).unwrap_err();
    assert!(error.to_string().contains("place for"), "{error}");
    assert_eq!(endless.start, 101);
}

#[test]
fn one_damaged_package_spoils_the_list() {
    let headers = [Ok(header("a")), Err(DatabaseError::new("damaged"))];
    assert!(Packages::default().rpm_database(10_000).add_all(headers).is_err());
}
