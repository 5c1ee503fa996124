//! Weights of 4 bits, two to a byte, have layouts of their own, which no kernel reads yet.
#![allow(clippy::unwrap_used)]

use tinsmith_module::build::*;
use tinsmith_module::numerics::Multiplier;
use tinsmith_module::plan::Problem;
use tinsmith_module::{Module, ModuleError};

#[test]
fn packed_weights_are_refused_by_name() {
    let mut builder = ModuleBuilder::new();
    builder.segment(Segment {
        size: 12,
        align: 4,
        kind: SegmentKind::Scratch,
    });
    builder.op(FullyConnected {
        layer: Layer {
            input: View::dense(0, 0, 1, 1, 4),
            output: View::dense(0, 4, 1, 1, 2),
            input_zero_point: 0,
            clamp: Clamp::full(0),
            weights: vec![7, -8, 1, 2, 3, 4, 5, 6],
            bias: vec![0; 2],
            multipliers: vec![Multiplier::new(0.5).unwrap(); 2],
        },
    });
    let image = builder.finish().unwrap();
    let weights = [0xff, 1, 0, 0];
    let at = image.windows(4).position(|w| w == weights).unwrap() + 1;
    for (layout, problem) in [
        (5, Problem::FourBits),
        (6, Problem::FourBits),
        (7, Problem::Layout),
    ] {
        let mut packed = image.clone();
        packed[at] = layout;
        let error = ModuleError::Record { layer: 0, problem };
        assert_eq!(Module::parse(&packed).err(), Some(error));
        assert_eq!(
            error.to_string().contains("4 bits"),
            problem == Problem::FourBits
        );
    }
}
