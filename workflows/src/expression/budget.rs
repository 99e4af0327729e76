//! What evaluating may cost.

use super::{ExpressionError, MAX_STEPS, MAX_TEXT_BYTES};

/// What is left of [`MAX_STEPS`] and [`MAX_TEXT_BYTES`].
#[derive(Debug)]
pub struct Budget {
    steps: usize,
    bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { steps: MAX_STEPS, bytes: MAX_TEXT_BYTES }
    }
}

impl Budget {
    /// Pays for looking at `count` things.
    pub(super) fn step(&mut self, count: usize, offset: usize) -> Result<(), ExpressionError> {
        self.steps = self.steps.checked_sub(count).ok_or_else(|| {
            ExpressionError::evaluation(offset, "The maximum number of steps was exceeded")
        })?;
        Ok(())
    }

    /// Pays for making `bytes` of text.
    pub(super) fn make(&mut self, bytes: usize, offset: usize) -> Result<(), ExpressionError> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(|| {
            ExpressionError::evaluation(offset, "The maximum allowed memory size was exceeded")
        })?;
        Ok(())
    }
}
