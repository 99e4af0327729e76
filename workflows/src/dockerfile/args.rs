//! Build arguments: which are known where, and the expansion of variables.

use std::collections::BTreeMap;

use super::MAX_DOCKERFILE_BYTES;
use super::config::ImageConfig;
use super::error::DockerfileError;
use super::expand::{Expanded, Lexer, Unset};
use super::instruction::{Heredoc, Instruction, InstructionKind, Transfer};
use super::stage::Dockerfile;

/// Arguments that every RUN sees when they are given, declared or not, as Docker does it.
const PROXY_ARGS: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];
/// Arguments about platforms, which FROM lines may use without declaring them.
const PLATFORM_ARGS: [&str; 8] = [
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDARCH",
    "BUILDVARIANT",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETARCH",
    "TARGETVARIANT",
];

/// The build arguments that instructions of one stage see.
#[derive(Debug, Clone)]
pub struct ArgScope {
    escape: char,
    given: BTreeMap<String, String>,
    global: BTreeMap<String, String>,
    declared: BTreeMap<String, String>,
}

impl ArgScope {
    /// The scope at the start of a stage. `given` are the build's arguments; those about
    /// platforms, such as `TARGETARCH`, belong to them.
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
        let platform = given.iter().filter(|(name, _)| PLATFORM_ARGS.contains(&name.as_str()));
        scope.global.extend(platform.map(|(name, value)| (name.clone(), value.clone())));
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
            DockerfileError::at(line, format!("FROM {}: {message}", super::error::shown(from)))
                .hint("declare it before the first FROM, as `ARG name=default`")
        })?;
        if image.text.is_empty() {
            return Err(DockerfileError::at(line, "FROM names nothing once it is expanded")
                .hint("name an image, an earlier stage or `scratch`"));
        }
        Ok(image.text)
    }

    /// The instruction with the variables expanded that BuildKit expands in it: those of the
    /// image's environment and of the declared arguments. RUN, CMD, ENTRYPOINT, SHELL, ONBUILD
    /// and HEALTHCHECK stay as they are.
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
            InstructionKind::Run(_)
            | InstructionKind::Cmd(_)
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
