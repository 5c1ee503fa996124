//! A board for tests, and packages that it takes.

use ed25519_dalek::{Signer as _, SigningKey};
use lwm2m_objects::capability::{Capability, digest};
use lwm2m_objects::compute::{DType, Task, TensorDescriptor};
use lwm2m_objects::{Codec, OwnedValue, Path};
use tinsmith_module::build::{
    GoldenInput, Lookup, ModuleBuilder, Segment, SegmentKind, TensorSpec, View,
};
use tinsmith_module::{Kernel, kernels};
use tinsmith_package::{
    Algorithm, Head, Kind, Manifest, Parsed, Signature, TrustAnchor, VENDOR_ID, module_class_id,
    sha256,
};

use crate::config::Factory;
use crate::flash::{FlashLayout, FlashRead, Region};
use crate::mem_flash::MemFlash;
use crate::platform::Platform;

pub(crate) const ARENA: usize = 256;
/// Bytes of the tiny model's input and output.
pub(crate) const WIDTH: usize = 16;

pub(crate) struct Board {
    pub(crate) flash: MemFlash,
    pub(crate) layout: FlashLayout,
    pub(crate) factory: Factory<'static>,
    /// What the product lists.
    pub(crate) formats: &'static [Codec],
    pub(crate) kernels: &'static [&'static Kernel],
    pub(crate) anchors: &'static [TrustAnchor],
    seed: u32,
}

impl Board {
    /// Erase units of 2 KiB, write units of 4 bytes.
    pub(crate) fn small() -> Self {
        Self::with(2048, 4)
    }

    pub(crate) fn with(erase_unit: u32, write_unit: u32) -> Self {
        let journal = Region {
            offset: 0,
            size: 8192,
            erase_unit: erase_unit.min(4096),
        };
        let slot = |i: u32| Region {
            offset: 8192 + i * 8192,
            size: 8192,
            erase_unit,
        };
        let layout = FlashLayout {
            journal,
            slots: [slot(0), slot(1)],
            write_unit,
        };
        Self {
            flash: MemFlash::new(24576, write_unit as usize),
            layout,
            factory: Factory::Bootstrap("coap://10.0.0.1:5683"),
            formats: Codec::ALL,
            kernels: kernels::ALL,
            anchors: &[],
            seed: 1,
        }
    }
}

impl FlashRead for Board {
    fn read(&self, offset: u32, len: u32) -> &[u8] {
        self.flash.read(offset, len)
    }
}

impl Platform for Board {
    fn micros(&self) -> u64 {
        0
    }

    fn random(&mut self) -> u32 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 17;
        self.seed ^= self.seed << 5;
        self.seed
    }
}

/// What the board says it is made of.
pub(crate) fn capability() -> Capability {
    let mut capability = tinsmith_targets::find("nrf52840").unwrap();
    capability.platform.arena_total = ARENA as u64;
    // So slow that a small module can ask for too much time.
    capability.units[0].clock_max = 100;
    capability.platform.signature_algorithms = vec![-8];
    capability
}

/// The class of the modules that it takes.
pub(crate) fn module_class() -> [u8; 16] {
    module_class_id(&digest(&capability()))
}

pub(crate) fn records() -> &'static Vec<(Path, OwnedValue)> {
    Box::leak(Box::new(capability().records()))
}

pub(crate) fn tensor(name: &str, offset: u32, task: Option<Task>) -> TensorSpec {
    TensorSpec {
        descriptor: TensorDescriptor {
            name: name.into(),
            dtype: DType::Int8,
            shape: vec![WIDTH as u32],
            permutation: vec![0],
            axis: None,
            scales: vec![0.5],
            zero_points: vec![0],
            task,
        },
        segment: 0,
        offset,
    }
}

/// The results of a module that adds `step + i` to each of its inputs in layer `i`.
pub(crate) fn expected(input: &[i8], step: i8, layers: usize) -> Vec<i8> {
    let add = |x: &i8| (0..layers).fold(*x, |x, i| x.wrapping_add(step).wrapping_add(i as i8));
    input.iter().map(add).collect()
}

pub(crate) fn module(step: i8, layers: usize, good_golden: bool) -> Vec<u8> {
    module_with_goldens(step, layers, good_golden, 1)
}

pub(crate) fn module_with_goldens(
    step: i8,
    layers: usize,
    good_golden: bool,
    goldens: u32,
) -> Vec<u8> {
    let mut b = ModuleBuilder::new();
    b.segment(Segment {
        size: 64,
        align: 16,
        kind: SegmentKind::Scratch,
    });
    b.input(tensor("in", 0, None));
    b.output(tensor("out", 16, Some(Task::Classify)));
    for i in 0..layers {
        let from = if i == 0 { 0 } else { 16 };
        let mut table = [0; 256];
        for (entry, x) in table.iter_mut().zip(-128i16..) {
            *entry = (x as i8).wrapping_add(step).wrapping_add(i as i8);
        }
        b.op(Lookup {
            input: View::dense(0, from, 1, 1, WIDTH as u32),
            output: View::dense(0, 16, 1, 1, WIDTH as u32),
            table,
        });
    }
    for i in 0..WIDTH {
        b.label(format!("the class with number {i}"));
    }
    if good_golden {
        for seed in 7..7 + goldens {
            b.golden_from_spec(GoldenInput::Seed(seed)).unwrap();
        }
    } else {
        b.golden(
            GoldenInput::Seed(7),
            &[vec![0; WIDTH]],
            &vec![vec![0; WIDTH]; layers],
        );
    }
    b.finish().unwrap()
}

/// A package for the board, before `change` spoils its head.
pub(crate) fn package_with(
    payload: &[u8],
    sequence: u64,
    trial_s: u32,
    change: impl FnOnce(&mut Head<'_>),
) -> Vec<u8> {
    let mut head = Head {
        sequence,
        kind: Kind::Module,
        slot: None,
        vendor_id: VENDOR_ID,
        class_id: module_class(),
        digest: sha256(payload),
        size: payload.len() as u32,
        abi: 1,
        arena_bytes: 64,
        trial_s,
        model_name: "adder",
        model_version: "1",
        source_digest: [9; 32],
        compiler: "by hand",
    };
    change(&mut head);
    let mut package = tinsmith_package::encode_prefix(&head).unwrap();
    package.extend_from_slice(payload);
    package
}

/// The public key of a signer.
pub(crate) fn anchor(signer: u8) -> TrustAnchor {
    let key = SigningKey::from_bytes(&[signer; 32]).verifying_key();
    TrustAnchor::new(Algorithm::EdDsa, key.as_bytes()).unwrap()
}

/// A package that replaces the trust anchors, before it is signed.
pub(crate) fn anchors_package(signers: &[u8], sequence: u64) -> Vec<u8> {
    let mut set = vec![0x80 | signers.len() as u8];
    for signer in signers {
        let (bytes, len) = anchor(*signer).encode();
        set.extend_from_slice(&bytes[..len]);
    }
    package_with(&set, sequence, 0, |head| head.kind = Kind::Anchors)
}

/// The same package, signed.
pub(crate) fn signed(signer: u8, package: &[u8]) -> Vec<u8> {
    let Ok(Parsed::Complete {
        head,
        payload_offset,
        ..
    }) = Head::parse(package)
    else {
        panic!("no package");
    };
    let manifest = Manifest::of(&head).unwrap();
    let algorithm = Algorithm::EdDsa;
    let message = manifest.to_be_signed(algorithm);
    let bytes = SigningKey::from_bytes(&[signer; 32])
        .sign(&message)
        .to_bytes();
    let prefix = manifest.prefix(Some(&Signature {
        algorithm,
        key_id: *anchor(signer).id(),
        bytes,
    }));
    [&prefix, &package[payload_offset..]].concat()
}

pub(crate) fn package(step: i8, sequence: u64, trial_s: u32) -> Vec<u8> {
    package_with(&module(step, LAYERS, true), sequence, trial_s, |_| {})
}

/// Layers of the usual test module: about 4 KB, more than one erase unit.
pub(crate) const LAYERS: usize = 12;
