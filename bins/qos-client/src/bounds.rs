//! A value held against its bounds.

use std::ops::RangeInclusive;

/// The value when it lies within the bounds; what `refused` makes of it otherwise.
pub(crate) fn within<T: PartialOrd, E>(
    bounds: &RangeInclusive<T>,
    value: T,
    refused: impl FnOnce(T) -> E,
) -> Result<T, E> {
    if bounds.contains(&value) {
        Ok(value)
    } else {
        Err(refused(value))
    }
}
