//! Commits of a real repository, pinned or refused.

use std::process::Command;

use tempfile::TempDir;
use workflows::event::Trust;
use workflows::ids::{JobId, RunId};
use workflows::image::{BuildMode, Nvr, Tag};
use workflows::job::{Credentials, JobSpec, StepAction};
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::plan::{DraftAction, JobDraft, StepDraft};
use workflows::template::Template;

use super::*;

/// Nothing listens there.
const DEAD_REGISTRY: &str = "127.0.0.1:9";
const LABELS: &str = "LABEL com.redhat.component=httpd-container name=httpd version=2.4\n";

struct Scene {
    dir: TempDir,
    pinner: Pinner,
}

impl Scene {
    async fn begin() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().display();
        let text = format!(
            "state_dir = \"{path}/state\"\npublic_url = \"http://strata.example\"\n\
             [[forge]]\nname = \"git\"\nkind = \"git\"\nwebhook_secret_file = \"{path}/secret\"\n\
             clone_url = \"file://{path}/{{repository}}\"\n\
             [[registry]]\nhost = \"{DEAD_REGISTRY}\"\nplain_http = true\n\
             [[release]]\nname = \"f43\"\nbranches = [\"f43\"]\ndist_tag = \"fc43\"\n\
             registry = \"{DEAD_REGISTRY}\"\nnamespace = \"f43\"\n\
             [release.labels]\nvendor = \"Us, for {{name}}\"\n\
             [release.policy]\nexternal_copy = \"refuse\"\n"
        );
        let file = dir.path().join("strata.toml");
        std::fs::write(&file, text).unwrap();
        let config = Arc::new(Config::load(&file).unwrap());
        let store = Store::open(&dir.path().join("strata.db")).await.unwrap();
        let pinner = Pinner {
            worlds: Worlds::new(store.clone(), Arc::clone(&config)),
            store,
            vault: Arc::new(Vault::open(&dir.path().join("secrets.key"), 0).unwrap()),
            sources: Arc::new(Sources::new(Arc::clone(&config), Arc::default())),
            registries: Arc::new(Registries::new(&config.registries).unwrap()),
            wakes: Wakes::default(),
            under_way: Arc::default(),
            config,
        };
        let scene = Self { dir, pinner };
        std::fs::create_dir(scene.dir.path().join("httpd")).unwrap();
        scene.git(&["init", "-q", "--initial-branch=f43"]);
        scene
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
            .args(arguments)
            .current_dir(self.dir.path().join("httpd"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_COMMITTER_DATE", "1700000000 +0000")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A job for a commit of these files.
    fn job(&self, files: &[(&str, &str)], mode: BuildMode, release: Option<&str>) -> UnpinnedJob {
        for (path, text) in files {
            std::fs::write(self.dir.path().join("httpd").join(path), text).unwrap();
        }
        self.git(&["add", "."]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "x"]);
        let action = DraftAction::LayeredBuild {
            dockerfile: "Dockerfile".to_owned(),
            context: String::new(),
            build_args: Default::default(),
            mode,
            release: release.map(ToOwned::to_owned),
            follows_parents: false,
        };
        let step = StepDraft {
            name: "build".to_owned(),
            env: Default::default(),
            action,
            id: None,
            condition: None,
            continue_on_error: None,
            timeout_minutes: None,
            later: Vec::new(),
        };
        UnpinnedJob {
            is_rebuild: false,
            id: JobId(7),
            run: RunId(1),
            draft: JobDraft {
                name: "build".to_owned(),
                key: "build".to_owned(),
                title: "build".to_owned(),
                timeout_seconds: Some(900),
                steps: vec![step],
                ..JobDraft::default()
            },
            workflow: "ci".to_owned(),
            facts: Some(Default::default()),
            needs: None,
            forge: "git".to_owned(),
            repository: RepositoryName::parse("httpd").unwrap(),
            ref_name: RefName::branch("f43").unwrap(),
            commit: CommitId::parse(&self.git(&["rev-parse", "HEAD"])).unwrap(),
            fetch_ref: "refs/heads/f43".to_owned(),
            is_of_pull: false,
            release: "f43".to_owned(),
            trust: Trust::Trusted,
            tries: 0,
            created_at: Utc::now(),
        }
    }

    /// What the store would be asked for, and the specification with that NVR.
    async fn specified(&self, job: &UnpinnedJob) -> (Option<Option<String>>, JobSpec) {
        let (release, facts) = self.pinner.facts(job).await.unwrap();
        let request = facts.build.as_ref().and_then(|build| build.nvr.clone());
        let nvr = request.as_ref().map(|request| {
            let release = request.release.as_deref().unwrap_or("1.fc43");
            Nvr::new(&request.name, &request.version, release).unwrap()
        });
        let forge = &self.pinner.config.forges[0];
        let spec = spec::complete(job, release, forge, &facts, nvr.as_ref(), Utc::now());
        (request.map(|request| request.release), spec)
    }
}

fn build(spec: &JobSpec) -> &workflows::job::BuildSpec {
    let StepAction::LayeredBuild(build) = &spec.steps[0].action else { panic!("{spec:?}") };
    build
}

#[tokio::test]
async fn the_files_of_a_repository_shape_its_build() {
    let scene = Scene::begin().await;
    let dockerfile = format!("FROM scratch\n{LABELS}LABEL Vendor=me\n");
    let container = "set_release_env: REL\nbuildtime_limit: 600\ntags: [stable]\ngo: {}\n";
    let files = [("Dockerfile", dockerfile.as_str()), ("container.yaml", container)];
    let job = scene.job(&files, BuildMode::Release, None);
    let (asked, spec) = scene.specified(&job).await;
    assert_eq!(asked, Some(None), "the next free number");
    assert_eq!(spec.limits.timeout_seconds, 600);
    let build = build(&spec);
    assert_eq!(build.stage_env["REL"], "1.fc43");
    assert_eq!(build.notes, ["container.yaml:4: go has no effect here"]);
    assert_eq!(build.tags.primary.as_ref().map(Tag::as_str), Some("2.4-1.fc43"));
    assert_eq!(build.tags.floating.iter().map(Tag::as_str).collect::<Vec<_>>(), ["stable"]);
    assert_eq!(build.labels["build-date"], "2023-11-14T22:13:20Z");
    assert_eq!(
        (&*build.labels["vendor"], &*build.labels["Vendor"]),
        ("Us, for httpd", "Us, for httpd")
    );
    assert!(!build.labels.contains_key("org.opencontainers.image.base.name"));
}

#[tokio::test]
async fn the_mode_decides_about_tags_and_numbers() {
    let scene = Scene::begin().await;
    let dockerfile = format!("FROM scratch\n{LABELS}");
    let files = [("Dockerfile", dockerfile.as_str())];
    let isolated = scene.job(&files, BuildMode::Isolated, Some("2.1"));
    let (asked, spec) = scene.specified(&isolated).await;
    assert_eq!(asked, Some(Some("2.1".to_owned())));
    assert_eq!(build(&spec).tags.primary.as_ref().map(Tag::as_str), Some("2.4-2.1"));
    assert!(build(&spec).tags.floating.is_empty());

    let scratch = scene.job(&files, BuildMode::Scratch, None);
    let (asked, spec) = scene.specified(&scratch).await;
    assert_eq!(asked, None, "no NVR");
    assert_eq!((&build(&spec).tags.primary, build(&spec).tags.floating.len()), (&None, 0));
    let short = &scratch.commit.to_string()[..12];
    assert_eq!(build(&spec).labels["release"], format!("0.scratch.{short}"));
    assert_eq!(build(&spec).labels["distribution-scope"], "private");

    let release = scene.job(&files, BuildMode::Release, None);
    let of_the_base = UnpinnedJob { is_of_pull: true, ..release };
    let (asked, spec) = scene.specified(&of_the_base).await;
    assert_eq!((asked, build(&spec).mode), (None, BuildMode::Scratch), "pull_request_target");
    assert_eq!((&build(&spec).tags.primary, build(&spec).tags.floating.len()), (&None, 0));

    let of_a_stranger = UnpinnedJob { trust: Trust::Untrusted, ..isolated };
    let (asked, spec) = scene.specified(&of_a_stranger).await;
    assert_eq!((asked, build(&spec).mode), (None, BuildMode::Scratch));
}

#[tokio::test]
async fn a_stranger_has_no_login_and_nothing_is_asked_for_one() {
    let scene = Scene::begin().await;
    let mut job = scene.job(&[], BuildMode::Scratch, None);
    let text = |text: &str| Template {
        text: text.to_owned(),
        at: Default::default(),
        kind: workflows::template::Kind::Text,
    };
    let (username, password) = (text("rose"), text("${{ secrets.DOOR }}"));
    job.trust = Trust::Untrusted;
    job.draft.image = Some(format!("{DEAD_REGISTRY}/closed:1"));
    job.draft.credentials = Some(Box::new(Credentials { username, password }));
    let Err(Unpinnable::Ends(ending)) = scene.pinner.facts(&job).await else {
        panic!("it must be refused");
    };
    let why = "`password` of `credentials` is empty; a stranger's change is given no secrets";
    assert_eq!(ending.message, format!("`container` of job build: {why}"));
}

#[tokio::test]
async fn a_refused_repository_is_told_everything_at_once() {
    let scene = Scene::begin().await;
    // The dead registry does not delay what is certain.
    let dockerfile = format!(
        "FROM {DEAD_REGISTRY}/base:1\nCOPY --from={DEAD_REGISTRY}/tool /a /a\nLABEL name=httpd\n"
    );
    let files = [("Dockerfile", dockerfile.as_str()), ("container.yml", ""), ("sources", "?\n")];
    let job = scene.job(&files, BuildMode::Release, None);
    let Err(Unpinnable::Ends(ending)) = scene.pinner.facts(&job).await else {
        panic!("it must be refused");
    };
    let lines: Vec<&str> = ending.message.lines().collect();
    assert_eq!(lines.len(), 5, "{}", ending.message);
    assert!(lines[0].starts_with("Dockerfile:2: release f43 does not allow COPY --from"));
    assert!(lines[1].starts_with("Dockerfile: label `com.redhat.component` is missing"));
    assert!(lines[3].starts_with("container.yml: this name has no effect"));
    assert!(lines[4].starts_with("sources:1: "));
    let description = &ending.sentence.description;
    assert!(
        description.starts_with("5 problems, the first: Dockerfile:2: release"),
        "{description}"
    );
}

#[tokio::test]
async fn a_registry_that_is_down_only_delays() {
    let scene = Scene::begin().await;
    let dockerfile = format!("FROM {DEAD_REGISTRY}/base:1\n{LABELS}");
    let job = scene.job(&[("Dockerfile", &dockerfile)], BuildMode::Release, None);
    let facts = scene.pinner.facts(&job).await;
    let Err(Unpinnable::Later { registry, .. }) = facts else { panic!("it must wait") };
    assert_eq!(registry.as_deref(), Some(DEAD_REGISTRY));
}

#[tokio::test]
async fn a_symbolic_link_is_no_dockerfile() {
    let scene = Scene::begin().await;
    let link = scene.dir.path().join("httpd/Dockerfile");
    std::os::unix::fs::symlink("elsewhere", link).unwrap();
    let job = scene.job(&[], BuildMode::Release, None);
    let Err(Unpinnable::Ends(ending)) = scene.pinner.facts(&job).await else {
        panic!("it must be refused");
    };
    assert!(ending.message.starts_with("Dockerfile: a symbolic link is refused"));
}
