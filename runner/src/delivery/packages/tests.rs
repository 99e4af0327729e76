use std::io::Read as _;

use workflows::evidence::PackageKind;

use super::*;

/// Databases that RPM itself wrote; testdata/make tells how.
const SQLITE: &[u8] = include_bytes!("../../../testdata/rpmdb.sqlite.gz");
const BDB: &[u8] = include_bytes!("../../../testdata/Packages.gz");

fn unpacked(compressed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(compressed).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Reads an image that has these files.
async fn packages_of(files: &[(&str, &[u8])]) -> Result<Vec<Package>, Unreadable> {
    let dir = tempfile::tempdir().unwrap();
    let mut kept = BTreeMap::new();
    for (number, (path, content)) in files.iter().enumerate() {
        let file = dir.path().join(number.to_string());
        std::fs::write(&file, content).unwrap();
        kept.insert((*path).to_owned(), file);
    }
    read(kept).await
}

/// What stands in both databases: two packages, one of them signed, beside the key.
fn expected() -> Vec<Package> {
    let package = |name: &str, sigmd5: &str, signature: Option<&str>| Package {
        kind: PackageKind::Rpm,
        name: name.to_owned(),
        epoch: Some(2),
        version: "1.0".to_owned(),
        release: "3.fc43".to_owned(),
        architecture: "noarch".to_owned(),
        source: Some("strata-hello-1.0-3.fc43.src.rpm".to_owned()),
        license: Some("MIT AND Apache-2.0".to_owned()),
        sigmd5: Some(sigmd5.to_owned()),
        signature: signature.map(str::to_owned),
    };
    vec![
        package("strata-hello", "9bc8f7166a9647673d32c26e823a255b", Some("eb30ad85f10402fa")),
        package("strata-hello-data", "9563fd11348ca06140985e8355d653ff", None),
    ]
}

#[tokio::test]
async fn rpms_own_databases_are_read() {
    let sqlite = unpacked(SQLITE);
    for directory in RPM_DIRECTORIES {
        let path = format!("{directory}/rpmdb.sqlite");
        assert_eq!(packages_of(&[(&path, &sqlite)]).await.unwrap(), expected());
    }
    let path = "var/lib/rpm/Packages";
    assert_eq!(packages_of(&[(path, &unpacked(BDB))]).await.unwrap(), expected());
}

#[tokio::test]
async fn all_package_managers_of_an_image_are_asked_and_each_package_is_told_once() {
    let sqlite = unpacked(SQLITE);
    let status = b"Package: busybox\nStatus: install ok installed\nVersion: 1:1.35.0-4\n";
    let files: [(&str, &[u8]); 5] = [
        ("var/lib/rpm/rpmdb.sqlite", &sqlite),
        ("usr/lib/sysimage/rpm/rpmdb.sqlite", &sqlite),
        // Left over from before it was converted.
        ("usr/lib/sysimage/rpm/Packages", b"old"),
        ("var/lib/dpkg/status", status),
        ("var/lib/dpkg/status.d/base", b"Package: base-files\nVersion: 12\n"),
    ];
    let found = packages_of(&files).await.unwrap();
    let names: Vec<&str> = found.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ["base-files", "busybox", "strata-hello", "strata-hello-data"]);
}

#[tokio::test]
async fn an_image_without_a_package_manager_has_no_packages() {
    assert_eq!(packages_of(&[]).await.unwrap(), []);
}

/// A database with a header in its log that its file has not taken in yet.
async fn with_log() -> (Vec<u8>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    std::fs::write(&path, unpacked(SQLITE)).unwrap();
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .foreign_keys(false)
        .pragma("journal_mode", "WAL");
    let mut connection = options.connect().await.unwrap();
    let delete = "DELETE FROM Packages WHERE length(blob) > 10000";
    sqlx::query(delete).execute(&mut connection).await.unwrap();
    let files = ["db", "db-wal"].map(|name| std::fs::read(dir.path().join(name)).unwrap());
    connection.close().await.unwrap();
    files.into()
}

#[tokio::test]
async fn what_the_log_says_counts() {
    let (file, log) = with_log().await;
    let files: [(&str, &[u8]); 2] =
        [("var/lib/rpm/rpmdb.sqlite", &file), ("var/lib/rpm/rpmdb.sqlite-wal", &log)];
    assert_eq!(packages_of(&files).await.unwrap(), expected()[..1]);
    let alone = packages_of(&[("var/lib/rpm/rpmdb.sqlite", &file)]).await.unwrap();
    assert_eq!(alone, expected());
}

/// A database made by these statements.
async fn made_by(statements: &[&'static str]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    for statement in statements {
        sqlx::query(*statement).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    std::fs::read(&path).unwrap()
}

#[tokio::test]
async fn a_database_that_would_have_us_compute_is_refused() {
    let endless = "CREATE VIEW Packages AS WITH RECURSIVE n(blob) AS (SELECT x'00' UNION ALL \
                   SELECT blob FROM n) SELECT blob FROM n";
    let computed = "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB AS \
                    (zeroblob(1000000000)))";
    let insert = "INSERT INTO Packages (hnum) VALUES (1)";
    let other = "CREATE TABLE Other (blob BLOB)";
    for statements in [vec![endless], vec![computed, insert], vec![other]] {
        let file = made_by(&statements).await;
        let error = packages_of(&[("var/lib/rpm/rpmdb.sqlite", &file)]).await.unwrap_err();
        let Unreadable::Image(why) = error else { panic!("{error}") };
        assert!(why.contains("var/lib/rpm/rpmdb.sqlite") && why.contains("no table"), "{why}");
    }
}

#[tokio::test]
async fn damage_and_excess_are_the_images_fault() {
    let big = made_by(&[
        "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)",
        "INSERT INTO Packages (blob) VALUES (zeroblob(33554433))",
    ]);
    let mut damaged = unpacked(SQLITE);
    damaged[5000..60_000].fill(0xa5);
    let sqlite = "var/lib/rpm/rpmdb.sqlite";
    for (path, file) in [
        (sqlite, big.await),
        (sqlite, damaged),
        (sqlite, b"no database".to_vec()),
        ("var/lib/rpm/Packages", b"no database".to_vec()),
        ("var/lib/rpm/Packages.db", b"no database".to_vec()),
        ("var/lib/dpkg/status", b"no database".to_vec()),
    ] {
        let error = packages_of(&[(path, &file)]).await.unwrap_err();
        let Unreadable::Image(why) = error else { panic!("{path}: {error}") };
        assert!(why.contains(path), "{why}");
    }
}
