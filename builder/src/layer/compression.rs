//! How layers are compressed.

/// What layers are compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// What every reader of images knows.
    #[default]
    Gzip,
    /// Smaller at the same speed; readers of OCI images know it, Docker's own form has no name
    /// for it.
    Zstd,
}

/// What layers are compressed with, and how hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    algorithm: Algorithm,
    level: i32,
}

/// The level of gzip that still makes layers hardly larger than those of docker.
const GZIP_LEVEL: i32 = 1;
/// The level of zstd that makes layers about as fast as gzip's.
const ZSTD_LEVEL: i32 = 3;
/// The highest levels: those above take far more time for hardly anything.
const MAX_GZIP_LEVEL: i32 = 12;
const MAX_ZSTD_LEVEL: i32 = 19;

impl Default for Compression {
    fn default() -> Self {
        Self { algorithm: Algorithm::Gzip, level: GZIP_LEVEL }
    }
}

impl Compression {
    /// An algorithm at a level, or at the level that is best for most.
    ///
    /// # Errors
    /// A sentence that tells the levels.
    pub fn new(algorithm: Algorithm, level: Option<i32>) -> Result<Self, String> {
        let (usual, most) = match algorithm {
            Algorithm::Gzip => (GZIP_LEVEL, MAX_GZIP_LEVEL),
            Algorithm::Zstd => (ZSTD_LEVEL, MAX_ZSTD_LEVEL),
        };
        let level = level.unwrap_or(usual);
        if (1..=most).contains(&level) {
            Ok(Self { algorithm, level })
        } else {
            Err(format!("the level is 1 to {most}, not {level}"))
        }
    }

    /// With what.
    #[must_use]
    pub fn algorithm(self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn level(self) -> i32 {
        self.level
    }

    /// The media type of layers.
    pub(crate) fn media_type(self) -> &'static str {
        match self.algorithm {
            Algorithm::Gzip => crate::registry::LAYER_TYPE,
            Algorithm::Zstd => crate::registry::ZSTD_LAYER_TYPE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_bounds() {
        for (algorithm, most) in [(Algorithm::Gzip, 12), (Algorithm::Zstd, 19)] {
            assert!(Compression::new(algorithm, Some(most)).is_ok());
            assert!(Compression::new(algorithm, Some(0)).is_err());
            assert!(Compression::new(algorithm, Some(most + 1)).is_err());
        }
        assert_eq!(Compression::new(Algorithm::Gzip, None), Ok(Compression::default()));
    }
}
