//! Gives layers that the engine has a configuration, and a name.
//!
//! The engine's `load` reads an archive of configuration, manifest and layers. It reads no layer
//! that it has already, so the parent's need not be in the archive.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;

use bollard::query_parameters::ImportImageOptionsBuilder;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use workflows::dockerfile::ImageConfig;

use super::own_layers::CleanLayer;
use super::stage::BuiltStage;
use super::tarball::{Stamp, Tarball};
use super::{Build, blocking, check_names, config, history, pipe};
use crate::engine::words_of;
use crate::stop::Stop;

/// Name of the configuration in the archive.
const CONFIG_FILE: &str = "config.json";
/// Where the engine looks for what the archive holds.
const MANIFEST_FILE: &str = "manifest.json";

impl Build<'_> {
    /// Makes the image of the last stage, under its tag and with the job's labels.
    pub(super) async fn finish(&self, stage: &BuiltStage, reference: &str) -> Result<(), Stop> {
        let mut config = stage.config.clone();
        config.labels.extend(self.spec.labels.clone());
        check_names(self.spec, &config.labels)?;
        let own = self.cleaned(stage).await?;
        let history = history::without_empty(stage.history.clone(), stage.inherited(), |layer| {
            own.get(layer).is_some_and(Option::is_none)
        });
        let own: Vec<CleanLayer> = own.into_iter().flatten().collect();
        let mut layers = stage.layers[..stage.inherited()].to_vec();
        layers.extend(own.iter().map(|layer| layer.diff_id.clone()));
        let image = self.configuration(&config, &layers, &history);
        self.load(&image, &layers, own, reference).await
    }

    /// An image of layers alone: containers of it get nothing else. It bears the attempt's
    /// labels, so that it is found again.
    pub(super) async fn bare(&self, layers: &[String], name: &str) -> Result<String, Stop> {
        let labels = self.execution.names.labels().into_iter().collect();
        let config = ImageConfig { labels, ..ImageConfig::default() };
        let image = self.configuration(&config, layers, &[]);
        let reference = format!("{}:{name}", self.execution.names.repository());
        self.load(&image, layers, Vec::new(), &reference).await?;
        Ok(reference)
    }

    fn configuration(
        &self,
        config: &ImageConfig,
        layers: &[String],
        history: &[history::Entry],
    ) -> Value {
        let mut image = json!({
            "architecture": self.execution.engine.architecture,
            "os": self.execution.engine.os,
            "created": history::time(self.spec.source_date_epoch),
            "config": config::to_json(config),
            "rootfs": { "type": "layers", "diff_ids": layers },
            "history": history,
        });
        if !config.author.is_empty() {
            image["author"] = json!(config.author);
        }
        image
    }

    async fn load(
        &self,
        image: &Value,
        layers: &[String],
        files: Vec<CleanLayer>,
        reference: &str,
    ) -> Result<(), Stop> {
        let failed = |why: String| Stop::sandbox(format!("cannot finish image {reference}: {why}"));
        let texts = texts(image, layers, reference);
        let (writer, stream) = pipe::writer();
        let packed = blocking(move || {
            let packed = archive(writer, &texts, &files).and_then(pipe::PipeWriter::finish);
            packed.map_err(|error| Stop::sandbox(format!("cannot pack an image: {error}")))
        });
        let loaded = async {
            let options = ImportImageOptionsBuilder::default().quiet(true).build();
            let body = bollard::body_try_stream(stream);
            let mut answers = self.execution.engine.import_image(options, body, None).boxed();
            while let Some(answer) = answers.next().await {
                let answer = answer.map_err(|error| failed(words_of(&error)))?;
                if let Some(error) = answer.error_detail {
                    return Err(failed(error.message.unwrap_or_default()));
                }
            }
            Ok(())
        };
        let (packed, loaded) = tokio::join!(packed, loaded);
        // An engine that gave up knows why; that its pipe broke is only what came of it.
        loaded.and(packed)
    }
}

/// Configuration and manifest, by their names in the archive.
fn texts(image: &Value, layers: &[String], reference: &str) -> [(&'static str, String); 2] {
    let names: Vec<String> = layers.iter().map(|layer| file_name(layer)).collect();
    let manifest = json!([{ "Config": CONFIG_FILE, "RepoTags": [reference], "Layers": names }]);
    [(CONFIG_FILE, image.to_string()), (MANIFEST_FILE, manifest.to_string())]
}

/// Packs what the engine needs; of the layers only those that it may not have.
fn archive<W: Write>(
    out: W,
    texts: &[(&str, String)],
    layers: &[CleanLayer],
) -> std::io::Result<W> {
    let stamp = Stamp { uid: 0, gid: 0, mode: None, mtime: 0 };
    let mut tarball = Tarball::new(out, stamp);
    for (name, content) in texts {
        tarball.file(name, 0o644, content.len() as u64, content.as_bytes())?;
    }
    let mut packed = BTreeSet::new();
    for layer in layers.iter().filter(|layer| packed.insert(&layer.diff_id)) {
        let file = File::open(&layer.path)?;
        tarball.file(&file_name(&layer.diff_id), 0o644, file.metadata()?.len(), file)?;
    }
    tarball.finish()
}

fn file_name(layer: &str) -> String {
    layer.replace(':', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_names_all_layers_and_holds_those_that_are_new() {
        let layers = ["sha256:a".to_owned(), "sha256:b".to_owned()];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clean");
        std::fs::write(&path, "a layer").unwrap();
        let own = CleanLayer { diff_id: "sha256:b".to_owned(), path };
        let texts = texts(&json!({"x": 1}), &layers, "r/x:1");
        let bytes = archive(Vec::new(), &texts, &[own.clone(), own]).unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut texts = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut entry.unwrap(), &mut text).unwrap();
            texts.push(text);
        }
        assert_eq!(texts[0], r#"{"x":1}"#);
        let manifest: Value = serde_json::from_str(&texts[1]).unwrap();
        assert_eq!(manifest[0]["Layers"].as_array().unwrap().len(), 2);
        assert_eq!(manifest[0]["RepoTags"][0], "r/x:1");
        assert_eq!(texts[2..], ["a layer"], "once, and the parent's not at all");
    }
}
