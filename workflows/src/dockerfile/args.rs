//! Build arguments: which are known where, and the expansion of variables.

use std::collections::BTreeMap;

use super::MAX_DOCKERFILE_BYTES;
use super::config::ImageConfig;
use super::error::{DockerfileError, shown};
use super::expand::{Expanded, Lexer, Unset};
use super::instruction::{Heredoc, Instruction, InstructionKind, Mount, Transfer};
use super::stage::{Dockerfile, Stage};

/// Arguments that every RUN sees when they are given, declared or not, as Docker does it.
const PROXY_ARGS: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];
/// What Docker calls the architecture that images are built for.
pub const DOCKER_ARCHITECTURE: &str = "amd64";

/// The arguments about platforms, which every build has and FROM lines may use without declaring
/// them, of a build on and for linux of an architecture as Docker calls it.
#[must_use]
pub fn platform_args(architecture: &str) -> BTreeMap<String, String> {
    let mut args = BTreeMap::new();
    for side in ["BUILD", "TARGET"] {
        args.insert(format!("{side}PLATFORM"), format!("linux/{architecture}"));
        args.insert(format!("{side}OS"), "linux".to_owned());
        args.insert(format!("{side}ARCH"), architecture.to_owned());
        args.insert(format!("{side}VARIANT"), String::new());
    }
    args
}

/// The build arguments that instructions of one stage see.
#[derive(Debug, Clone)]
pub struct ArgScope {
    escape: char,
    given: BTreeMap<String, String>,
    global: BTreeMap<String, String>,
    declared: BTreeMap<String, String>,
}

impl ArgScope {
    /// The scope at the start of a stage that stands on no other. `given` are the build's
    /// arguments; those about platforms, such as `TARGETARCH`, are of [`DOCKER_ARCHITECTURE`]
    /// where they are not among them. A stage that stands on another one goes on with the scope
    /// that the other one ends with, as BuildKit has it.
    ///
    /// # Errors
    /// [`DockerfileError`] when the default of an ARG before the first FROM cannot be expanded.
    pub fn new(
        file: &Dockerfile,
        given: &BTreeMap<String, String>,
    ) -> Result<Self, DockerfileError> {
        let mut scope = Self {
            escape: file.escape,
            given: given.clone(),
            global: BTreeMap::new(),
            declared: BTreeMap::new(),
        };
        for (name, usual) in platform_args(DOCKER_ARCHITECTURE) {
            let value = given.get(&name).cloned().unwrap_or(usual);
            scope.global.insert(name, value);
        }
        for (line, name, default) in &file.global_args {
            let value = match (given.get(name), default) {
                (Some(value), _) => Some(value.clone()),
                (None, Some(default)) => {
                    let lookup = |name: &str| scope.global.get(name).cloned();
                    Some(expanded(&Lexer::new(file.escape, &lookup), default, *line)?.text)
                }
                (None, None) => None,
            };
            scope.global.extend(value.map(|value| (name.clone(), value)));
        }
        Ok(scope)
    }

    /// The arguments with a value at this point, which RUN sees as variables.
    pub fn visible(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_proxy = |name: &str| PROXY_ARGS.contains(&name.to_ascii_lowercase().as_str());
        let proxies = self.given.iter().filter(move |(name, _)| is_proxy(name));
        proxies.chain(&self.declared).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Forgets an argument, because an ENV of that name takes its place from here on.
    pub(crate) fn hide(&mut self, name: &str) {
        self.declared.remove(name);
    }

    /// Goes on in a stage that stands on the one that the scope is of: there a variable of the
    /// image counts, also where an ARG of that name came after its ENV, as BuildKit has it.
    pub fn begin_stage(&mut self, env: &[(String, String)]) {
        for (name, _) in env {
            self.hide(name);
        }
    }

    /// Declares an argument whose default is already expanded.
    pub(crate) fn declare(&mut self, name: &str, default: Option<&String>) {
        let value = self.given.get(name).or(default).or_else(|| self.global.get(name));
        if let Some(value) = value.cloned() {
            self.declared.insert(name.to_owned(), value);
        }
    }

    /// What a FROM line names; every variable in it must have a value.
    pub(crate) fn expand_from(&self, from: &str, line: usize) -> Result<String, DockerfileError> {
        let lookup = |name: &str| self.global.get(name).cloned();
        let mut lexer = Lexer::new(self.escape, &lookup);
        lexer.unset = Unset::Refuse;
        let image = lexer.expand(from).map_err(|message| {
            DockerfileError::at(line, format!("FROM {}: {message}", shown(from)))
                .hint("declare it before the first FROM, as `ARG name=default`")
        })?;
        if image.text.is_empty() {
            return Err(DockerfileError::at(line, "FROM names nothing once it is expanded")
                .hint("name an image, an earlier stage or `scratch`"));
        }
        Ok(image.text)
    }

    /// Refuses a FROM line's `--platform` that is another one than `linux` of an architecture.
    ///
    /// # Errors
    /// [`DockerfileError`] names the platform, or the variable without a value in it.
    pub fn check_platform(&self, stage: &Stage, architecture: &str) -> Result<(), DockerfileError> {
        let Some(written) = &stage.platform else { return Ok(()) };
        let lookup = |name: &str| self.global.get(name).cloned();
        let mut lexer = Lexer::new(self.escape, &lookup);
        lexer.unset = Unset::Refuse;
        let wrong = |why: String| {
            DockerfileError::at(stage.line, format!("--platform={}: {why}", shown(written)))
        };
        let platform = lexer.expand(written).map_err(wrong)?.text;
        if is_linux_of(&platform, architecture) {
            return Ok(());
        }
        Err(wrong(format!("images are built for linux/{architecture} only")))
    }

    /// The instruction with the variables expanded that BuildKit expands in it: those of the
    /// image's environment and of the declared arguments. CMD, ENTRYPOINT, SHELL, ONBUILD and
    /// HEALTHCHECK stay as they are, and RUN but for its mounts.
    ///
    /// # Errors
    /// [`DockerfileError`] when a quote or `${` is not closed, a variable demands a value
    /// (`${NAME:?message}`), or a text grows beyond all bounds.
    pub fn expand(
        &self,
        instruction: &Instruction,
        config: &ImageConfig,
    ) -> Result<Instruction, DockerfileError> {
        let lookup = |name: &str| {
            self.declared.get(name).cloned().or_else(|| config.variable(name).map(str::to_owned))
        };
        let words = Words { lexer: Lexer::new(self.escape, &lookup), line: instruction.line };
        let mut result = instruction.clone();
        words.expand(&mut result.kind)?;
        Ok(result)
    }
}

/// Whether a platform is linux of that architecture, in any spelling that BuildKit takes for it.
#[must_use]
pub fn is_linux_of(platform: &str, architecture: &str) -> bool {
    let same = |part: &str| match part {
        "x86_64" | "x86-64" => architecture == "amd64",
        "aarch64" => architecture == "arm64",
        other => other == architecture,
    };
    let usual_variant = if architecture == "arm64" { "v8" } else { "v1" };
    let platform = platform.to_ascii_lowercase();
    match platform.split('/').collect::<Vec<_>>().as_slice() {
        // The system alone means the machine's own architecture.
        [one] => *one == "linux" || same(one),
        ["linux", of] => same(of),
        ["linux", of, variant] => same(of) && *variant == usual_variant,
        _ => false,
    }
}

fn expanded(lexer: &Lexer<'_>, word: &str, line: usize) -> Result<Expanded, DockerfileError> {
    lexer.expand(word).map_err(|message| DockerfileError::at(line, message))
}

struct Words<'a> {
    lexer: Lexer<'a>,
    line: usize,
}

impl Words<'_> {
    fn expand(&self, kind: &mut InstructionKind) -> Result<(), DockerfileError> {
        match kind {
            InstructionKind::Env(pairs) | InstructionKind::Label(pairs) => {
                for (name, value) in pairs {
                    self.word(name)?;
                    self.word(value)?;
                }
            }
            InstructionKind::Arg(arguments) => {
                for (name, default) in arguments {
                    self.word(name)?;
                    self.optional(default)?;
                }
            }
            InstructionKind::Workdir(word)
            | InstructionKind::User(word)
            | InstructionKind::StopSignal(word) => self.word(word)?,
            InstructionKind::Volume(words) => self.each(words)?,
            InstructionKind::Expose(ports) => {
                let mut all = Vec::new();
                for port in ports.iter() {
                    all.extend(expanded(&self.lexer, port, self.line)?.words);
                }
                *ports = all;
            }
            InstructionKind::Copy(copy) => self.transfer(&mut copy.transfer)?,
            InstructionKind::Add(add) => {
                self.optional(&mut add.checksum)?;
                self.transfer(&mut add.transfer)?;
            }
            InstructionKind::Run(run) => {
                run.mounts.iter_mut().try_for_each(|mount| self.mount(mount))?;
            }
            InstructionKind::Cmd(_)
            | InstructionKind::Entrypoint(_)
            | InstructionKind::Shell(_)
            | InstructionKind::HealthCheck(_)
            | InstructionKind::OnBuild(_)
            | InstructionKind::Maintainer(_) => {}
        }
        Ok(())
    }

    fn transfer(&self, transfer: &mut Transfer) -> Result<(), DockerfileError> {
        self.each(&mut transfer.sources)?;
        self.each(&mut transfer.exclude)?;
        self.word(&mut transfer.dest)?;
        self.optional(&mut transfer.chown)?;
        self.optional(&mut transfer.chmod)?;
        transfer.heredocs.iter_mut().try_for_each(|heredoc| self.heredoc(heredoc))
    }

    /// Whoever mounts from an image names it in full, see [`super::images_named`].
    fn mount(&self, mount: &mut Mount) -> Result<(), DockerfileError> {
        for word in [&mut mount.source, &mut mount.target, &mut mount.id] {
            self.optional(word)?;
        }
        mount.other.iter_mut().try_for_each(|(_, value)| self.word(value))
    }

    /// In a here-document quotes mean nothing and the escape is always the backslash.
    fn heredoc(&self, heredoc: &mut Heredoc) -> Result<(), DockerfileError> {
        if !heredoc.expand {
            return Ok(());
        }
        let mut lexer = Lexer::new('\\', self.lexer.lookup);
        lexer.ignore_quotes = true;
        lexer.max_bytes = MAX_DOCKERFILE_BYTES;
        heredoc.body = expanded(&lexer, &heredoc.body, self.line)?.text;
        Ok(())
    }

    fn word(&self, word: &mut String) -> Result<(), DockerfileError> {
        *word = expanded(&self.lexer, word, self.line)?.text;
        Ok(())
    }

    fn optional(&self, word: &mut Option<String>) -> Result<(), DockerfileError> {
        word.as_mut().map_or(Ok(()), |word| self.word(word))
    }

    fn each(&self, words: &mut [String]) -> Result<(), DockerfileError> {
        words.iter_mut().try_for_each(|word| self.word(word))
    }
}
