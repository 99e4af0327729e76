//! The Dockerfile as it will be carried out: pinned, with the stages that the image needs.

use std::collections::BTreeSet;
use std::path::Path;

use workflows::dockerfile::{
    self, ArgScope, Dockerfile, DockerfileError, Instruction, InstructionKind,
    MAX_DOCKERFILE_BYTES, StageBase,
};
use workflows::job::BuildSpec;

use crate::engine::pinned_name;
use crate::small_file;
use crate::stop::Stop;

/// A Dockerfile that is ready to be carried out.
pub(crate) struct Recipe {
    /// Its path, for messages.
    pub(crate) path: String,
    /// Its text, with digests in the place of names.
    pub(crate) text: String,
    /// What that says.
    pub(crate) file: Dockerfile,
    /// What each stage stands on.
    pub(crate) bases: Vec<StageBase>,
    /// The build arguments at the start of every stage.
    pub(crate) args: ArgScope,
    /// What every stage begins with.
    pub(crate) beginning: Vec<Instruction>,
    /// The images that may be used, by their digests.
    pub(crate) pinned: BTreeSet<String>,
}

/// Where the files of a COPY come from, when not from the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CopySource {
    /// An earlier stage.
    Stage(usize),
    /// A pinned image.
    Image(String),
}

impl Recipe {
    /// Reads the Dockerfile of a build from the checkout.
    pub(crate) fn read(sources: &Path, spec: &BuildSpec) -> Result<Self, Stop> {
        let text = small_file::text_below(sources, &spec.dockerfile, MAX_DOCKERFILE_BYTES)?;
        Self::of_text(&text, spec)
    }

    /// Reads a Dockerfile's text and pins what it names.
    pub(crate) fn of_text(text: &str, spec: &BuildSpec) -> Result<Self, Stop> {
        let wrong = |error: DockerfileError| described(&spec.dockerfile, &error);
        let pins: Vec<(String, String)> =
            spec.pins.iter().map(|pin| (pin.written.clone(), pinned_name(pin))).collect();
        let written = dockerfile::parse(text).map_err(wrong)?;
        let text = dockerfile::pinned(text, &written, &pins);
        let file = dockerfile::parse(&text).map_err(wrong)?;
        let recipe = Self {
            path: spec.dockerfile.clone(),
            bases: file.bases(&spec.build_args).map_err(wrong)?,
            args: ArgScope::new(&file, &spec.build_args).map_err(wrong)?,
            beginning: spec.stage_env.iter().map(environment).collect(),
            pinned: pins.into_iter().map(|(_, name)| name).collect(),
            text,
            file,
        };
        for (stage, base) in recipe.file.stages.iter().zip(&recipe.bases) {
            if let StageBase::Image(image) = base {
                recipe.check_pinned(image, stage.line)?;
            }
        }
        Ok(recipe)
    }

    /// The stages to build, in order: the last one and all that it takes from.
    pub(crate) fn needed(&self) -> Vec<usize> {
        let mut needed = BTreeSet::new();
        let mut open = vec![self.target()];
        while let Some(index) = open.pop() {
            if !needed.insert(index) {
                continue;
            }
            if let StageBase::Stage(base) = self.bases[index] {
                open.push(base);
            }
            for instruction in &self.file.stages[index].instructions {
                if let InstructionKind::Copy(copy) = &instruction.kind
                    && let Some(from) = &copy.from
                    && let Some(stage) = self.stage_before(index, from)
                {
                    open.push(stage);
                }
            }
        }
        needed.into_iter().collect()
    }

    /// The stage that becomes the image.
    pub(crate) fn target(&self) -> usize {
        self.file.stages.len() - 1
    }

    /// What a `--from` means in a stage.
    pub(crate) fn source(&self, stage: usize, from: &str, line: usize) -> Result<CopySource, Stop> {
        if let Some(earlier) = self.stage_before(stage, from) {
            return Ok(CopySource::Stage(earlier));
        }
        self.check_pinned(from, line)?;
        Ok(CopySource::Image(from.to_owned()))
    }

    /// A failure of the user's at a line of the file.
    pub(crate) fn failure(&self, line: usize, message: impl std::fmt::Display) -> Stop {
        match line {
            0 => Stop::failure(format!("{}: {message}", self.path)),
            line => Stop::failure(format!("{}:{line}: {message}", self.path)),
        }
    }

    /// An error of the Dockerfile's reader, with the file's own path.
    pub(crate) fn wrong(&self, error: &DockerfileError) -> Stop {
        described(&self.path, error)
    }

    /// The earlier stage of that name or number; the latest of a name, as BuildKit has it.
    fn stage_before(&self, stage: usize, from: &str) -> Option<usize> {
        let name = from.to_lowercase();
        let earlier = &self.file.stages[..stage];
        let named = earlier.iter().rposition(|known| known.name.as_ref() == Some(&name));
        named.or_else(|| name.parse().ok().filter(|&index: &usize| index < stage))
    }

    /// No image is used that was not pinned when the job was planned.
    fn check_pinned(&self, image: &str, line: usize) -> Result<(), Stop> {
        if self.pinned.contains(image) {
            return Ok(());
        }
        Err(self.failure(line, format!("image `{image}` was not pinned when the job was planned")))
    }
}

/// A variable as if the Dockerfile set it; the bridge gives only plain words.
fn environment((name, value): (&String, &String)) -> Instruction {
    Instruction {
        line: 0,
        end_line: 0,
        original: format!("ENV {name}={value}"),
        kind: InstructionKind::Env(vec![(name.clone(), value.clone())]),
    }
}

fn described(path: &str, error: &DockerfileError) -> Stop {
    let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
    match error.line {
        0 => Stop::failure(format!("{path}: {}{hint}", error.message)),
        line => Stop::failure(format!("{path}:{line}: {}{hint}", error.message)),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use crate::below::tests::pipe;
    use workflows::image::{BuildMode, Digest, ParentPin, Reference, Tag, TagPlan};

    use super::*;

    pub(crate) fn spec() -> BuildSpec {
        let digest = Digest::parse(&format!("sha256:{}", "a".repeat(64))).unwrap();
        let reference = Reference::parse("base:1", "r.example").unwrap();
        BuildSpec {
            dockerfile: "Dockerfile".to_owned(),
            context: String::new(),
            pins: vec![ParentPin {
                written: "base:1".to_owned(),
                reference,
                digest,
                kind: None,
                form: None,
            }],
            source_registry: "r.example".to_owned(),
            sources: None,
            artifacts: None,
            add_url: Default::default(),
            names: None,
            parent_images: Vec::new(),
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            stage_env: BTreeMap::new(),
            repository_files: Vec::new(),
            notes: Vec::new(),
            autorebuild: None,
            rebuild: workflows::job::RebuildFacts::default(),
            mode: BuildMode::Scratch,
            nvr: None,
            target: Reference::parse("r.example/out", "r.example").unwrap(),
            tags: TagPlan { unique: Tag::parse("u").unwrap(), primary: None, floating: Vec::new() },
            push: false,
            source_date_epoch: 0,
            cache: workflows::cache::CacheSpec::default(),
            compression: workflows::compression::Compression::default(),
        }
    }

    #[test]
    fn only_what_the_last_stage_takes_is_built() {
        let text = "FROM base:1 AS a\nFROM base:1 AS unused\nFROM a AS b\nFROM scratch\n\
                    COPY --from=b /x /x\n";
        let recipe = Recipe::of_text(text, &spec()).unwrap();
        assert_eq!(recipe.needed(), [0, 2, 3]);
        assert_eq!(recipe.source(3, "B", 1), Ok(CopySource::Stage(2)));
        assert_eq!(recipe.source(3, "1", 1), Ok(CopySource::Stage(1)));
    }

    #[test]
    fn nothing_that_could_block_is_read_as_a_dockerfile() {
        let dir = tempfile::tempdir().unwrap();
        let read = || Recipe::read(dir.path(), &spec()).err().unwrap().to_string();
        assert_eq!(read(), "there is no `Dockerfile`");
        pipe(&dir.path().join("Dockerfile"));
        assert_eq!(read(), "cannot read `Dockerfile`: it is no file");
    }

    #[test]
    fn an_image_that_nobody_pinned_is_refused_with_its_line() {
        let error = Recipe::of_text("FROM base:1\nFROM other:2\n", &spec()).err().unwrap();
        assert!(error.to_string().starts_with("Dockerfile:2: image `other:2` was not"), "{error}");
        let recipe = Recipe::of_text("FROM base:1\nCOPY --from=x /a /b\n", &spec()).unwrap();
        assert!(recipe.source(0, "x", 2).is_err());
    }
}
