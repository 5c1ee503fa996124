//! How what is absent is all zeros.

/// Of all fields it has the most values that are not valid, zero among them: what is absent is all
/// zeros, and an endpoint at rest needs no initial value in the image of a firmware.
#[derive(Clone, Copy, Debug)]
#[repr(u16)]
pub(crate) enum Live {
    Live = 1,
}
