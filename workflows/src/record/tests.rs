//! The exporters, against what the formats demand.

mod hub;
mod spec;

use std::io::Read as _;

use chrono::DateTime;
use serde_json::{Value, json};

use super::*;
use crate::evidence::{LayerFacts, Package, PackageKind, SourceFile, Tool};
use crate::image::{Digest, ParentPin, Reference, Tag, TagPlan};
use crate::job::{Limits, Network, Source, StepSpec};
use spec::spec;

const INSTALLATION: &str = "https://strata.example";

fn digest(digit: char) -> Digest {
    Digest::parse(&format!("sha256:{}", digit.to_string().repeat(64))).unwrap()
}

fn reference(text: &str) -> Reference {
    Reference::parse(text, "registry.example").unwrap()
}

fn rpm(name: &str, license: &str) -> Package {
    Package {
        kind: PackageKind::Rpm,
        name: name.to_owned(),
        epoch: Some(1),
        version: "43".to_owned(),
        release: "7.fc43".to_owned(),
        architecture: "noarch".to_owned(),
        source: Some(format!("{name}-43-7.fc43.src.rpm")),
        license: Some(license.to_owned()),
        sigmd5: Some("af8ee0374e8160dc19b2598da2b22162".to_owned()),
        signature: Some("199e2f91fd431d51".to_owned()),
    }
}

fn deb(name: &str, version: &str) -> Package {
    Package {
        kind: PackageKind::Deb,
        name: name.to_owned(),
        epoch: None,
        version: version.to_owned(),
        release: String::new(),
        architecture: "amd64".to_owned(),
        source: None,
        license: None,
        sigmd5: None,
        signature: None,
    }
}

fn evidence() -> BuildEvidence {
    BuildEvidence {
        config: digest('c'),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        layers: vec![LayerFacts {
            digest: digest('1'),
            diff_id: digest('2'),
            size_bytes: 10,
            unpacked_bytes: 100,
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
        }],
        packages: vec![
            deb("base-files", "13.8+deb13u1"),
            deb("libstdc++6", "14.2.0-19"),
            rpm("fedora-release", "MIT"),
            rpm("bash", "GPLv3+ and nice"),
        ],
        sources: vec![SourceFile {
            name: "httpd.tar.gz".to_owned(),
            algorithm: "SHA512".to_owned(),
            checksum: "ab".repeat(64),
            size_bytes: 5,
        }],
        tools: vec![Tool { name: "docker".to_owned(), version: "27.5".to_owned() }],
        kept_steps: Vec::new(),
        labels: Default::default(),
        settings: None,
        has_help: false,
    }
}

fn build() -> BuildSpec {
    let tag = |text| Tag::parse(text).unwrap();
    BuildSpec {
        dockerfile: "Dockerfile".to_owned(),
        context: String::new(),
        pins: vec![ParentPin {
            written: "f43/base:latest".to_owned(),
            reference: reference("f43/base:latest"),
            digest: digest('b'),
            kind: None,
            form: None,
        }],
        source_registry: "registry.example".to_owned(),
        sources: None,
        artifacts: None,
        add_url: Default::default(),
        names: None,
        parent_images: Vec::new(),
        repository_files: Vec::new(),
        build_args: [("LEVEL".to_owned(), "9".to_owned())].into(),
        labels: [("release".to_owned(), "1.fc43".to_owned())].into(),
        stage_env: Default::default(),
        notes: Vec::new(),
        autorebuild: None,
        rebuild: Default::default(),
        mode: BuildMode::Release,
        nvr: Some(nvr()),
        target: reference("f43/httpd:latest"),
        tags: TagPlan {
            unique: tag("f43-12345-20270115"),
            primary: Some(tag("2.4-1.fc43")),
            floating: vec![tag("2.4"), tag("latest")],
        },
        push: true,
        source_date_epoch: 1_800_000_000,
        cache: Default::default(),
        compression: Default::default(),
    }
}

fn nvr() -> Nvr {
    Nvr::new("httpd-container", "2.4", "1.fc43").unwrap()
}

fn record() -> BuildRecord {
    let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
    let source = RecordedSource {
        forge: "forge".to_owned(),
        repository: RepositoryName::parse("containers/httpd").unwrap(),
        ref_name: RefName::branch("f43").unwrap(),
        commit: CommitId::parse(&"a".repeat(40)).unwrap(),
    };
    BuildRecord {
        form: FORM,
        run: RunId(7),
        job: JobId(9),
        job_name: "build".to_owned(),
        attempt: 2,
        outcome: Outcome::Success,
        fault: None,
        message: String::new(),
        nvr: Some(nvr()),
        release: "f43".to_owned(),
        cause: "push".to_owned(),
        trust: Trust::Trusted,
        spec: Some(spec(&source)),
        source,
        workflow: RecordedWorkflow {
            name: "layered-image".to_owned(),
            path: "layered-image.yml".to_owned(),
            origin: "operator".to_owned(),
            blob: "e".repeat(40),
        },
        image: Some(BuiltImage {
            reference: reference("f43/httpd:f43-12345-20270115"),
            digest: digest('d'),
            size_bytes: 10,
        }),
        evidence: Some(evidence()),
        runner: Some(RecordedRunner { name: "one".to_owned(), version: "0.1.0".to_owned() }),
        log: Some(RecordedLog {
            path: "logs/9/2.log".to_owned(),
            bytes: 3,
            sha256: "f".repeat(64),
        }),
        times: RecordedTimes {
            planned: at(0),
            queued: Some(at(1)),
            leased: Some(at(2)),
            started: Some(at(3)),
            finished: at(60),
        },
    }
}

fn exported(form: ExportForm) -> Value {
    serde_json::from_slice(&export(&record(), form, INSTALLATION).unwrap()).unwrap()
}

#[test]
fn a_record_reads_back_as_it_was_written() {
    let text = serde_json::to_string(&record()).unwrap();
    assert_eq!(serde_json::from_str::<BuildRecord>(&text).unwrap(), record());
}

#[test]
fn koji_hears_which_image_is_the_parent_and_what_the_image_says_of_itself() {
    let mut record = record();
    let pin = |written: &str, digit, kind| ParentPin {
        written: written.to_owned(),
        reference: reference("f43/x:latest"),
        digest: digest(digit),
        kind: Some(kind),
        form: None,
    };
    let spec = record.spec.as_mut().unwrap();
    for step in &mut spec.steps {
        let StepAction::LayeredBuild(build) = &mut step.action else { continue };
        build.pins = vec![
            pin("f43/base", '4', crate::rebuild::ParentKind::Parent),
            pin("f43/tool", '5', crate::rebuild::ParentKind::Builder),
        ];
        build.parent_images = vec!["f43/base".to_owned()];
    }
    let evidence = record.evidence.as_mut().unwrap();
    evidence.labels = [("inherited".to_owned(), "yes".to_owned())].into();
    evidence.has_help = true;
    let koji = koji::metadata(&record).unwrap();
    let image = &koji["build"]["extra"]["image"];
    assert_eq!(
        (&image["help"], &image["parent_images"]),
        (&json!("help.md"), &json!(["f43/base"]))
    );
    let docker = &koji["output"][0]["extra"]["docker"];
    assert_eq!(docker["parent_id"], json!(digest('4')));
    assert_eq!(docker["config"]["config"]["Labels"], json!({"inherited": "yes"}));
}

#[test]
fn koji_gets_the_fields_that_its_hub_checks() {
    let koji = exported(ExportForm::Koji);
    assert_eq!(koji["metadata_version"], 0);
    let build = &koji["build"];
    assert_eq!(build["name"], "httpd-container");
    assert_eq!((&build["version"], &build["release"]), (&json!("2.4"), &json!("1.fc43")));
    let source = format!("git+https://forge.example/containers/httpd.git#{}", "a".repeat(40));
    assert_eq!(build["source"], source);
    assert_eq!(build["start_time"], 1_800_000_003);
    assert_eq!(build["end_time"], 1_800_000_060);
    let index = &build["extra"]["image"]["index"];
    assert_eq!(index["tags"], json!(["2.4-1.fc43"]));
    assert_eq!(index["floating_tags"], json!(["2.4", "latest"]));
    let pull = format!("registry.example/f43/httpd@{}", digest('d'));
    assert_eq!(index["pull"], json!([pull, "registry.example/f43/httpd:2.4-1.fc43"]));
    let (image, log) = (&koji["output"][0], &koji["output"][1]);
    for output in [image, log] {
        assert_eq!(output["buildroot_id"], koji["buildroots"][0]["id"]);
        assert_eq!(output["checksum"].as_str().unwrap().len(), 64);
    }
    assert_eq!(image["type"], "docker-image");
    assert_eq!(image["arch"], "x86_64");
    assert_eq!(image["extra"]["docker"]["layer_sizes"][0]["size"], 100);
    assert_eq!((&log["type"], &log["filesize"]), (&json!("log"), &json!(3)));
    let bash = &image["components"][1];
    assert_eq!(
        (&bash["name"], &bash["epoch"], &bash["arch"]),
        (&json!("bash"), &json!(1), &json!("noarch"))
    );
    assert_eq!(image["components"].as_array().unwrap().len(), 2, "RPMs only");
}

#[test]
fn the_placeholder_is_an_empty_archive() {
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(koji::PLACEHOLDER.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, [0; 1024], "two blocks of zeros end a tar archive");
    let image = &exported(ExportForm::Koji)["output"][0];
    let checksum = "a1b1b81d3d1afdb8fe119b002318c12c20934713b9754a40f702adb18a2540b9";
    assert_eq!((&image["filesize"], &image["checksum"]), (&json!(29), &json!(checksum)));
}

#[test]
fn provenance_names_the_image_its_builder_and_all_that_went_in() {
    let statement = exported(ExportForm::Provenance);
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], provenance::PREDICATE_TYPE);
    let subject = &statement["subject"][0];
    assert_eq!(subject["name"], "registry.example/f43/httpd");
    assert_eq!(subject["digest"]["sha256"], "d".repeat(64));
    let definition = &statement["predicate"]["buildDefinition"];
    assert_eq!(definition["buildType"], provenance::BUILD_TYPE);
    assert_eq!(definition["externalParameters"]["buildArgs"]["LEVEL"], "9");
    let details = &statement["predicate"]["runDetails"];
    assert_eq!(details["builder"]["id"], INSTALLATION);
    assert_eq!(details["metadata"]["startedOn"], "2027-01-15T08:00:03Z");
    assert_eq!(details["byproducts"][0]["digest"]["sha256"], "f".repeat(64));
    let digests: Vec<&Value> = definition["resolvedDependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|dependency| &dependency["digest"])
        .collect();
    let expected = [
        json!({"gitCommit": "a".repeat(40)}),
        json!({"gitBlob": "e".repeat(40)}),
        json!({"sha256": "b".repeat(64)}),
        json!({"sha512": "ab".repeat(64)}),
    ];
    assert_eq!(digests, expected.iter().collect::<Vec<_>>());
}

#[test]
fn the_sbom_has_what_spdx_requires_of_document_and_packages() {
    let sbom = exported(ExportForm::Sbom);
    assert_eq!(sbom["spdxVersion"], "SPDX-2.3");
    assert_eq!(
        (&sbom["dataLicense"], &sbom["SPDXID"]),
        (&json!("CC0-1.0"), &json!("SPDXRef-DOCUMENT"))
    );
    let namespace = format!("{INSTALLATION}/spdx/job-9-{}", "d".repeat(64));
    assert_eq!(sbom["documentNamespace"], namespace);
    assert_eq!(sbom["creationInfo"]["created"], "2027-01-15T08:01:00Z");
    let packages = sbom["packages"].as_array().unwrap();
    assert_eq!(packages.len(), 5, "the image and what is installed");
    let mut ids = std::collections::BTreeSet::new();
    for package in packages {
        let id = package["SPDXID"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{id} stands twice");
        let part = id.strip_prefix("SPDXRef-").unwrap();
        assert!(part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)), "{id}");
        for required in ["name", "downloadLocation"] {
            assert!(!package[required].as_str().unwrap().is_empty(), "{id}: {required}");
        }
        assert_eq!(package["externalRefs"][0]["referenceCategory"], "PACKAGE-MANAGER");
    }
    for relation in sbom["relationships"].as_array().unwrap() {
        let of = relation["relatedSpdxElement"].as_str().unwrap();
        assert!(ids.contains(of), "{of} is no package");
    }
    assert_eq!(sbom["relationships"].as_array().unwrap().len(), packages.len());
}

#[test]
fn package_urls_name_the_distribution_and_escape_what_they_must() {
    let sbom = exported(ExportForm::Sbom);
    let url = |place: usize| sbom["packages"][place]["externalRefs"][0]["referenceLocator"].clone();
    let image = format!(
        "pkg:oci/httpd@sha256:{}?repository_url=registry.example%2Ff43%2Fhttpd&tag=f43-12345-20270115",
        "d".repeat(64)
    );
    assert_eq!(url(0), image);
    assert_eq!(url(2), "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=amd64&distro=debian-13");
    assert_eq!(url(4), "pkg:rpm/fedora/bash@43-7.fc43?arch=noarch&distro=fedora-43&epoch=1");
}

#[test]
fn distributions_are_told_by_their_own_package_and_never_guessed() {
    let of = |packages: &[Package], kind| {
        distribution::of(packages, kind).map(|found| found.qualifier())
    };
    for (version, expected) in [
        ("12.4+deb12u5", Some("debian-12")),
        ("13ubuntu10.1", Some("ubuntu")),
        ("sid", Some("debian")),
    ] {
        assert_eq!(of(&[deb("base-files", version)], PackageKind::Deb).as_deref(), expected);
    }
    assert_eq!(of(&[deb("bash", "5")], PackageKind::Deb), None);
    let stream = [rpm("bash", "MIT"), rpm("centos-stream-release", "MIT")];
    assert_eq!(of(&stream, PackageKind::Rpm).as_deref(), Some("centos-43"));
    assert_eq!(of(&stream, PackageKind::Deb), None);
}

#[test]
fn a_licence_that_spdx_does_not_know_is_a_comment() {
    let sbom = exported(ExportForm::Sbom);
    let licence = |place: usize| {
        let package = &sbom["packages"][place];
        (package["licenseDeclared"].clone(), package["licenseComments"].clone())
    };
    assert_eq!(licence(1), (json!("NOASSERTION"), Value::Null));
    assert_eq!(licence(3), (json!("MIT"), Value::Null));
    let told = json!("The package says: GPLv3+ and nice");
    assert_eq!(licence(4), (json!("NOASSERTION"), told));
}

#[test]
fn what_left_no_image_or_no_name_is_refused_with_the_reason() {
    let refused =
        |record: &BuildRecord, form| export(record, form, INSTALLATION).unwrap_err().to_string();
    let failed = BuildRecord { outcome: Outcome::Failure, image: None, ..record() };
    for form in [ExportForm::Koji, ExportForm::Provenance, ExportForm::Sbom] {
        let said = refused(&failed, form);
        assert!(said.contains("httpd-container-2.4-1.fc43") && said.contains("failure"), "{said}");
    }
    let scratch = BuildRecord { nvr: None, ..record() };
    assert!(refused(&scratch, ExportForm::Koji).starts_with("run 7, job build"));
    assert!(export(&scratch, ExportForm::Sbom, INSTALLATION).is_ok());
    let mute = BuildRecord { evidence: None, ..record() };
    assert!(refused(&mute, ExportForm::Sbom).contains("did not say"));
}

#[test]
fn the_same_record_gives_the_same_bytes() {
    for form in [ExportForm::Koji, ExportForm::Provenance, ExportForm::Sbom] {
        let once = export(&record(), form, INSTALLATION).unwrap();
        assert_eq!(once, export(&record(), form, "https://strata.example/").unwrap(), "{form}");
    }
}

#[test]
fn evidence_past_its_bounds_is_refused_by_name() {
    assert_eq!(check(&evidence()), Ok(()));
    let many =
        BuildEvidence { tools: vec![evidence().tools[0].clone(); MAX_TOOLS + 1], ..evidence() };
    assert_eq!(
        check(&many).unwrap_err().to_string(),
        "the evidence has 65 tools; at most 64 are recorded"
    );
    let mut long = evidence();
    long.packages[0].license = Some("x".repeat(MAX_TEXT_BYTES + 1));
    assert!(check(&long).unwrap_err().to_string().contains("a text of 4097 bytes"));
}
