//! What a build by hand takes from earlier ones, and how its layers are compressed.

use std::time::Duration;

use builder::{Algorithm, CachePolicy, Compression, Output as Files};
use clap::{Args, ValueEnum};
use workflows::image::{DOCKER_HUB, Reference};

use super::Where;
use super::values::duration;

/// Steps of earlier builds, and the form of layers.
#[derive(Debug, Args)]
pub(super) struct CacheArgs {
    /// Carry out every step, whatever earlier builds made; later builds find what this one makes.
    #[arg(long)]
    no_cache: bool,
    /// How old what a command made may be to be taken, such as 90m, 12h or 7d; of any age when it
    /// is not given. Copies follow from their files and never get old.
    #[arg(long, value_name = "AGE", value_parser = duration)]
    cache_ttl: Option<Duration>,
    /// A repository with steps of other machines, as registry/path or type=registry,ref=...
    #[arg(long, value_name = "REPOSITORY", value_parser = repository)]
    cache_from: Vec<Reference>,
    /// The repository where other machines find the steps of this build.
    #[arg(long, value_name = "REPOSITORY", value_parser = repository)]
    cache_to: Option<Reference>,
    /// What layers are compressed with.
    #[arg(long, value_enum, default_value_t)]
    compression: CompressionName,
    /// How hard: 1 to 12 for gzip (1), 1 to 19 for zstd (3).
    #[arg(long, value_name = "LEVEL")]
    compression_level: Option<i32>,
}

/// What layers are compressed with.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum CompressionName {
    /// What every reader of images knows.
    #[default]
    Gzip,
    /// Smaller; for readers of OCI images, not for docker-archive. Docker Engine pulls it from 23.0
    /// on: 20.10, which Debian 12 has, cannot.
    Zstd,
}

impl CacheArgs {
    /// What is taken and left. Where the image is to have the same digest whenever it is built,
    /// times of files count.
    pub(super) fn policy(&self, domain: &str, exact: bool) -> CachePolicy {
        let read = vec![domain.to_owned()];
        CachePolicy {
            read: if self.no_cache { Vec::new() } else { read },
            write: Some(domain.to_owned()),
            max_age: self.cache_ttl,
            exact,
            from: self.cache_from.clone(),
            to: self.cache_to.clone(),
        }
    }

    /// How layers are compressed.
    pub(super) fn compression(&self) -> Result<Compression, String> {
        let algorithm = match self.compression {
            CompressionName::Gzip => Algorithm::Gzip,
            CompressionName::Zstd => Algorithm::Zstd,
        };
        Compression::new(algorithm, self.compression_level)
            .map_err(|why| format!("--compression-level: {why}"))
    }

    /// Docker's own form of images has no name for zstd.
    pub(super) fn check_outputs(&self, outputs: &[Where]) -> Result<(), String> {
        let is_dockers = |to: &Where| matches!(to, Where::Files(Files::DockerArchive(_)));
        if matches!(self.compression, CompressionName::Zstd) && outputs.iter().any(is_dockers) {
            let why = "layers of a docker-archive cannot be zstd: write oci:DIR, or use gzip";
            return Err(format!("--compression: {why}"));
        }
        Ok(())
    }
}

/// How long ago something was, roughly.
pub(super) fn age(made: i64) -> String {
    let seconds = (chrono::Utc::now().timestamp() - made).max(0);
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A repository as buildah writes it, or as `docker buildx` does.
fn repository(text: &str) -> Result<Reference, String> {
    let mut place = text;
    if text.contains('=') {
        let mut fields = text.split(',');
        place = fields
            .find_map(|field| field.strip_prefix("ref="))
            .filter(|_| text.split(',').any(|field| field == "type=registry"))
            .ok_or_else(|| format!("`{text}`: only type=registry,ref=REGISTRY/PATH is known"))?;
    }
    // Looked for in the text: a name without a tag is read as one with `latest`.
    let last = place.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) {
        return Err(format!("`{place}`: each step has a tag of its own; write registry/path"));
    }
    Reference::parse(place, DOCKER_HUB).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_a_repository() {
        let plain = repository("r.example/cache").unwrap();
        assert_eq!(repository("type=registry,ref=r.example/cache,mode=max"), Ok(plain));
        for bad in ["r.example/cache:tag", "type=local,src=x", "type=gha", "ref=r.example/c"] {
            assert!(repository(bad).is_err(), "{bad}");
        }
    }
}
