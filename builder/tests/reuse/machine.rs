//! A machine that builds: a context, a store, and what a build of it kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use builder::{
    BuildError, BuildRequest, BuiltImage, CachePolicy, Cancel, Compression, Given, Limits, Network,
    Progress, Registries, Store, Unpushed,
};
use workflows::image::Reference;

use crate::parts::{has_runtime, is_root, make_root};

/// No step.
pub(crate) const NONE: [usize; 0] = [];

/// A directory with a context and the stores of some machines.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    pub(crate) runtime: tokio::runtime::Runtime,
}

/// One machine.
pub(crate) struct Machine<'a> {
    place: &'a Place,
    pub(crate) store: Arc<Store>,
    pub(crate) registries: Arc<Registries>,
}

/// A build to be.
pub(crate) struct Asked<'a> {
    pub(crate) dockerfile: &'a str,
    pub(crate) cache: CachePolicy,
    pub(crate) push: Option<Reference>,
    pub(crate) latest_time: Option<i64>,
    pub(crate) build_args: &'a [(&'a str, &'a str)],
    pub(crate) given: Given,
    pub(crate) compression: Compression,
    pub(crate) limits: Limits,
    pub(crate) target: Option<&'a str>,
    /// Of names without a host.
    pub(crate) default_registry: &'a str,
    /// What the network `egress` reaches; no network where there is nothing.
    pub(crate) egress: Vec<workflows::egress::Place>,
    pub(crate) cancel: Cancel,
}

impl Asked<'_> {
    pub(crate) fn of(dockerfile: &str, cache: CachePolicy) -> Asked<'_> {
        Asked {
            dockerfile,
            cache,
            push: None,
            latest_time: None,
            build_args: &[],
            given: Given::default(),
            compression: Compression::default(),
            limits: Limits::default(),
            target: None,
            default_registry: "docker.io",
            egress: Vec::new(),
            cancel: Cancel::default(),
        }
    }
}

/// Those of one domain, of any age.
pub(crate) fn own(domain: &str) -> CachePolicy {
    CachePolicy {
        read: vec![domain.to_owned()],
        write: Some(domain.to_owned()),
        ..CachePolicy::default()
    }
}

impl Place {
    /// `None` where something is missing.
    #[expect(clippy::print_stderr, reason = "a test that does nothing must say so")]
    pub(crate) fn prepare() -> Option<Self> {
        if !(is_root() && has_runtime()) {
            eprintln!("skipped: it needs root and an OCI runtime");
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        make_root(&dir.path().join("context/base"));
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let place = Self { dir, runtime };
        place.write("one", "one\n");
        place.write("two", "two\n");
        Some(place)
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn context(&self) -> PathBuf {
        self.dir.path().join("context")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.context().join(name), text).expect("a file of the context");
    }

    /// A machine with an empty store.
    pub(crate) fn machine(&self, name: &str) -> Machine<'_> {
        let store = Arc::new(Store::open(&self.dir.path().join(name)).expect("a store"));
        let registries = Arc::new(Registries::new(Vec::new()).expect("a client"));
        Machine { place: self, store, registries }
    }
}

impl Machine<'_> {
    /// Builds; the lines of the steps that were kept are in the image.
    pub(crate) fn try_build(&self, asked: Asked<'_>) -> Result<BuiltImage, BuildError> {
        self.try_unpushed(asked, |_| {}).and_then(|built| {
            let pushed = built.push(&self.store, &self.registries);
            self.place.runtime.block_on(pushed).map(|()| built.image)
        })
    }

    /// Builds, tells `show` how it goes, and pushes nothing but layers.
    pub(crate) fn try_unpushed(
        &self,
        asked: Asked<'_>,
        show: impl FnMut(Progress<'_>) + Send + 'static,
    ) -> Result<Unpushed, BuildError> {
        let pairs = asked.build_args.iter();
        let network = if asked.egress.is_empty() { Network::None } else { Network::Egress };
        let request = BuildRequest {
            file: "Dockerfile".to_owned(),
            dockerfile: asked.dockerfile.to_owned(),
            context: self.place.context(),
            ignore: String::new(),
            build_args: pairs.map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
            target: asked.target.map(str::to_owned),
            labels: Default::default(),
            push: asked.push,
            default_registry: asked.default_registry.to_owned(),
            egress: asked.egress,
            additions: builder::Additions::default(),
            cache: asked.cache,
            compression: asked.compression,
            network,
            limits: asked.limits,
            latest_time: asked.latest_time,
            given: asked.given,
            runtime: None,
        };
        let (store, registries) = (Arc::clone(&self.store), Arc::clone(&self.registries));
        let build = builder::build_unpushed(request, store, registries, asked.cancel, show);
        self.place.runtime.block_on(build)
    }

    pub(crate) fn build(&self, asked: Asked<'_>) -> BuiltImage {
        self.try_build(asked).expect("the build goes well")
    }

    /// The lines of the steps that a build does not carry out.
    pub(crate) fn kept(&self, asked: Asked<'_>) -> Vec<usize> {
        self.build(asked).kept.iter().map(|step| step.line).collect()
    }
}
