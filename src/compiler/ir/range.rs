//! Ranges of values.

/// Smallest and largest value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    /// Smallest.
    pub lo: f32,
    /// Largest.
    pub hi: f32,
}
