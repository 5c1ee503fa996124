//! The models that Tinsmith ships: `README.md` has the keys of a card, `check.py` what must hold.

/// The files of a model.
#[derive(Clone, Copy, Debug)]
pub struct Files {
    /// Name in the zoo; that of the folder.
    pub name: &'static str,
    /// `card.json`: what the model is for, what goes in, what comes out, how good it is.
    pub card: &'static [u8],
    /// `model.onnx`: float32, static shapes, batch 1.
    pub onnx: &'static [u8],
    /// `calibration.npz`: array `x` has samples of the input.
    pub calibration: &'static [u8],
    /// `test.npz`: held-out samples `x` with labels `y`.
    pub test: &'static [u8],
}

macro_rules! models {
    ($($name:literal),* $(,)?) => {
        /// All models in the order of their names.
        pub const ALL: &[Files] = &[$(Files {
            name: $name,
            card: include_bytes!(concat!($name, "/card.json")),
            onnx: include_bytes!(concat!($name, "/model.onnx")),
            calibration: include_bytes!(concat!($name, "/calibration.npz")),
            test: include_bytes!(concat!($name, "/test.npz")),
        }),*];
    };
}

models!["fashion", "fashion-resnet", "maintenance", "motion"];
