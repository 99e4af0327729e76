//! Gives layers that the engine has a configuration, and a name.
//!
//! The engine's `load` reads an archive of configuration, manifest and layers. It reads no layer
//! that it has already, so an archive without layers makes an image of any that are there.

use bollard::query_parameters::ImportImageOptionsBuilder;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use workflows::dockerfile::ImageConfig;

use super::stage::BuiltStage;
use super::tarball::{Stamp, Tarball};
use super::{Build, config, history};
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
        let image = self.configuration(&config, &stage.layers, &stage.history);
        self.load(&image, &stage.layers, reference).await
    }

    /// An image of layers alone: containers of it get nothing else. It bears the attempt's
    /// labels, so that it is found again.
    pub(super) async fn bare(&self, layers: &[String], name: &str) -> Result<String, Stop> {
        let labels = self.execution.names.labels().into_iter().collect();
        let config = ImageConfig { labels, ..ImageConfig::default() };
        let image = self.configuration(&config, layers, &[]);
        let reference = format!("{}:{name}", self.execution.names.repository());
        self.load(&image, layers, &reference).await?;
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

    async fn load(&self, image: &Value, layers: &[String], reference: &str) -> Result<(), Stop> {
        let failed = |why: String| Stop::sandbox(format!("cannot finish image {reference}: {why}"));
        let archive = archive(image, layers, reference)
            .map_err(|error| Stop::bug(format!("cannot pack a configuration: {error}")))?;
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let body = bollard::body_full(archive.into());
        let mut answers = self.execution.engine.import_image(options, body, None).boxed();
        while let Some(answer) = answers.next().await {
            let answer = answer.map_err(|error| failed(words_of(&error)))?;
            if let Some(error) = answer.error_detail {
                return Err(failed(error.message.unwrap_or_default()));
            }
        }
        Ok(())
    }
}

fn archive(image: &Value, layers: &[String], reference: &str) -> std::io::Result<Vec<u8>> {
    let missing: Vec<String> = layers.iter().map(|layer| layer.replace(':', "-")).collect();
    let manifest = json!([{ "Config": CONFIG_FILE, "RepoTags": [reference], "Layers": missing }]);
    let stamp = Stamp { uid: 0, gid: 0, mode: None, mtime: 0 };
    let mut tarball = Tarball::new(Vec::new(), stamp);
    for (name, content) in [(CONFIG_FILE, image), (MANIFEST_FILE, &manifest)] {
        let content = content.to_string();
        tarball.file(name, 0o644, content.len() as u64, content.as_bytes())?;
    }
    tarball.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_names_as_many_layers_as_the_image_has() {
        let layers = ["sha256:a".to_owned(), "sha256:b".to_owned()];
        let bytes = archive(&json!({"x": 1}), &layers, "r/x:1").unwrap();
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
    }
}
