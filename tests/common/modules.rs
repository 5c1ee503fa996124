//! What a module must compute: inputs, and the outputs that the specification gives for them.

use std::path::{Path, PathBuf};

use lwm2m_objects::compute::read_descriptors;
use sha2::{Digest, Sha256};
use tinsmith_module::format::golden::{Source, Xorshift32};
use tinsmith_module::{Module, spec};
use tinsmith_samples as samples;

use super::process::run;

/// The shipped models.
pub(crate) fn shipped() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models");
    let entries = std::fs::read_dir(folder).expect("models/ is there");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("models/ can be listed").path())
        .filter(|path| path.join("card.json").exists())
        .map(|path| {
            path.file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    assert!(names.len() >= 3, "{names:?}");
    names
}

/// The module of a shipped model, as the command `compile` writes it.
pub(crate) fn compile(model: &str, target: &str, folder: &Path) -> Image {
    let file = folder.join(format!("{model}-{target}.tsm"));
    let path = file.display().to_string();
    let output = run(&["compile", model, "--target", target, "-o", &path]);
    assert!(
        output.status.success(),
        "{model}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Image::new(&std::fs::read(file).expect("the module was written"))
}

/// The stored bytes of each golden input; each must give the digest that the module states.
pub(crate) fn golden_inputs(module: &Module<'_>) -> Vec<Vec<u8>> {
    let bytes = module.input_range(0).expect("an input").len();
    let goldens = module.goldens().map(|golden| {
        assert_eq!(golden.steps, 1, "no shipped model has a state");
        let input: Vec<u8> = match golden.source {
            Source::Raw(raw) => raw.to_vec(),
            Source::Seed(seed) => {
                let mut generator = Xorshift32::new(seed);
                (0..bytes).map(|_| generator.byte()).collect()
            }
        };
        let digest = Sha256::digest(expected(module, &input));
        assert!(
            digest.starts_with(&golden.digest),
            "the golden digest is the specification's"
        );
        input
    });
    goldens.collect()
}

/// The stored test inputs of a shipped model, as the module takes them.
pub(crate) fn test_inputs(model: &str, module: &Module<'_>) -> Vec<Vec<u8>> {
    let path = format!("{}/models/{model}/test.npz", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let set = samples::test_set(&file).unwrap_or_else(|e| panic!("{path}: {e}"));
    let input = read_descriptors(module.input_descriptor())
        .expect("a descriptor")
        .remove(0);
    set.x
        .iter()
        .map(|sample| input.quantize(sample).expect("a sample that fits"))
        .collect()
}

/// What the specification computes.
pub(crate) fn expected(module: &Module<'_>, input: &[u8]) -> Vec<u8> {
    spec::run(module, &[input])
        .expect("an input that fits")
        .outputs
        .remove(0)
}

/// What the kernels compute in `arena`.
pub(crate) fn computed(module: &Module<'_>, input: &[u8], arena: &mut [u8]) -> Vec<u8> {
    arena[module.input_range(0).expect("an input")].copy_from_slice(input);
    module.run(arena).expect("an arena that is big enough");
    arena[module.output_range(0).expect("an output")].to_vec()
}

/// About `wanted` of `all`, spread evenly.
pub(crate) fn spread<T>(all: &[T], wanted: usize) -> impl Iterator<Item = &T> {
    all.iter().step_by((all.len() / wanted).max(1))
}

/// A module that loads and passes its own test.
pub(crate) fn check(image: &[u8]) {
    let image = Image::new(image);
    let module = Module::parse(image.bytes()).expect("a module");
    module
        .self_test(&mut vec![0; module.arena_bytes()])
        .expect("its golden results");
}

/// An image as a device has it: at an address that is a multiple of 32.
pub(crate) struct Image {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Image {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut memory = vec![0; bytes.len() + 32];
        let start = memory.as_ptr().align_offset(32);
        memory[start..start + bytes.len()].copy_from_slice(bytes);
        Self {
            memory,
            start,
            length: bytes.len(),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.length]
    }
}
