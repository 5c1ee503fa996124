//! The portable kernels, one file per operator.

/// The kernels of this library as (id, version), for 27301/x/10.
pub const RESIDENT: &[(u16, u16)] = &[
    (1, 1),
    (2, 1),
    (3, 1),
    (4, 1),
    (5, 1),
    (6, 1),
    (7, 1),
    (8, 1),
    (9, 1),
    (10, 1),
    (11, 1),
    (12, 1),
    (13, 1),
];
