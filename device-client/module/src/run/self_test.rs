//! The golden self test, in steps.

use core::task::Poll;

use sha2::{Digest, Sha256};

use super::{Feed, Runner, SelfTestError};
use crate::format::golden::{Crc32, Golden, Source, Xorshift32};
use crate::loader::Module;

/// The golden inputs of a module, run one after the other and compared; in steps, as a [`Runner`].
/// States are reset before each of them; before the next run they have to be once more.
#[derive(Debug, Clone)]
pub struct SelfTest {
    /// Index of the golden input.
    golden: usize,
    runs: Runs,
}

/// The runs of one golden input.
#[derive(Debug, Clone)]
struct Runs {
    /// Runs that are done.
    done: u16,
    /// The run under way.
    runner: Option<Runner>,
    /// Bytes of a raw input that were fed.
    taken: usize,
    /// The generator behind the bytes that were fed.
    generator: Option<Xorshift32>,
    outputs: Sha256,
    /// The record whose result is being shown, and what was shown of it.
    shown: (usize, Crc32),
    /// The first record whose result differs.
    wrong: Option<usize>,
}

impl Runs {
    fn new() -> Self {
        Self {
            done: 0,
            runner: None,
            taken: 0,
            generator: None,
            outputs: Sha256::new(),
            shown: (0, Crc32::new()),
            wrong: None,
        }
    }

    fn feed(&mut self, golden: &Golden<'_>, target: &mut [u8]) {
        let mut feed = match (golden.source, self.generator.take()) {
            (Source::Raw(bytes), _) => Feed::Raw(bytes.get(self.taken..).unwrap_or(&[])),
            (Source::Seed(_), Some(generator)) => Feed::Seed(generator),
            (source, None) => Feed::new(source),
        };
        feed.fill(target);
        self.taken += target.len();
        if let Feed::Seed(generator) = feed {
            self.generator = Some(generator);
        }
    }

    /// The record that was shown is complete.
    fn compare(&mut self, golden: &Golden<'_>) {
        let (layer, crc) = self.shown;
        let differs = golden.crc(layer).is_some_and(|good| good != crc.finish());
        if differs && self.wrong.is_none() {
            self.wrong = Some(layer);
        }
    }

    fn show(&mut self, golden: &Golden<'_>, layer: usize, bytes: &[u8]) {
        if self.shown.0 != layer {
            self.compare(golden);
            self.shown = (layer, Crc32::new());
        }
        self.shown.1.update(bytes);
    }

    /// Ready when all runs are done: whether their results are the golden ones, and which record's
    /// is not.
    fn step(
        &mut self,
        module: &Module<'_>,
        golden: &Golden<'_>,
        arena: &mut [u8],
        budget: u64,
    ) -> Result<Poll<Result<(), Option<usize>>>, SelfTestError> {
        let last = self.done + 1 >= golden.steps;
        let mut runner = match self.runner {
            Some(runner) => runner,
            None => {
                if self.done == 0 {
                    module.reset(arena)?;
                }
                for tensor in module.inputs() {
                    let place = arena.get_mut(module.range(&tensor));
                    self.feed(golden, place.unwrap_or_default());
                }
                Runner::new()
            }
        };
        let mut trace = |layer: usize, bytes: &[u8]| self.show(golden, layer, bytes);
        let run = if last {
            runner.step(module, arena, budget, Some(&mut trace))?
        } else {
            runner.step(module, arena, budget, None)?
        };
        if run.is_pending() {
            self.runner = Some(runner);
            return Ok(Poll::Pending);
        }
        self.runner = None;
        for tensor in module.outputs() {
            let output = arena.get(module.range(&tensor));
            self.outputs.update(output.unwrap_or_default());
        }
        if !last {
            self.done += 1;
            return Ok(Poll::Pending);
        }
        if module.layer_count() > 0 {
            self.compare(golden);
        }
        let outputs = self.outputs.finalize_reset();
        let same = self.wrong.is_none() && outputs.starts_with(&golden.digest);
        Ok(Poll::Ready(if same { Ok(()) } else { Err(self.wrong) }))
    }
}

impl SelfTest {
    /// Nothing has run.
    pub fn new() -> Self {
        Self {
            golden: 0,
            runs: Runs::new(),
        }
    }

    /// Goes on as [`Runner::step`] does. Ready with the outcome.
    pub fn step(
        &mut self,
        module: &Module<'_>,
        arena: &mut [u8],
        budget: u64,
    ) -> Poll<Result<(), SelfTestError>> {
        let Some(golden) = module.goldens().nth(self.golden) else {
            return Poll::Ready(match self.golden {
                0 => Err(SelfTestError::NoGolden),
                _ => Ok(()),
            });
        };
        match self.runs.step(module, &golden, arena, budget) {
            Err(e) => Poll::Ready(Err(e)),
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Err(layer))) => Poll::Ready(Err(SelfTestError::Mismatch {
                golden: self.golden,
                layer,
            })),
            Ok(Poll::Ready(Ok(()))) => {
                self.golden += 1;
                self.runs = Runs::new();
                if self.golden < module.golden_count() {
                    Poll::Pending
                } else {
                    Poll::Ready(Ok(()))
                }
            }
        }
    }
}

impl Default for SelfTest {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{
        GoldenInput, Lookup, ModuleBuilder, Segment, SegmentKind, TensorSpec, View,
    };
    use lwm2m_objects::compute::{DType, Task, TensorDescriptor};

    const WIDTH: usize = 16;
    const LAYERS: usize = 5;

    #[repr(align(16))]
    struct Aligned<const N: usize>([u8; N]);

    /// Adds the number of the layer in each layer.
    fn module(raw: bool, spoil: bool) -> Vec<u8> {
        let mut b = ModuleBuilder::new();
        b.segment(Segment {
            size: 64,
            align: 16,
            kind: SegmentKind::Scratch,
        });
        let tensor = |name: &str, offset, task| TensorSpec {
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
        };
        b.input(tensor("in", 0, None));
        b.output(tensor("out", 16, Some(Task::Classify)));
        for i in 0..LAYERS {
            let from = if i == 0 { 0 } else { 16 };
            let mut table = [0; 256];
            for (entry, x) in table.iter_mut().zip(-128i16..) {
                *entry = (x as i8).wrapping_add(i as i8);
            }
            b.op(Lookup {
                input: View::dense(0, from, 1, 1, WIDTH as u32),
                output: View::dense(0, 16, 1, 1, WIDTH as u32),
                table,
            });
        }
        if raw {
            b.golden_from_spec(GoldenInput::Raw(vec![3; WIDTH]))
                .unwrap();
        }
        b.golden_from_spec(GoldenInput::Seed(7)).unwrap();
        b.golden_from_spec(GoldenInput::Seed(8)).unwrap();
        if spoil {
            let results = vec![vec![0; WIDTH]; LAYERS];
            b.golden(GoldenInput::Seed(9), &[vec![0; WIDTH]], &results);
        }
        b.finish().unwrap()
    }

    #[test]
    fn in_steps_as_at_once() {
        for (raw, spoil) in [(false, false), (true, false), (true, true)] {
            let bytes = module(raw, spoil);
            let mut image = vec![0; bytes.len() + 32];
            let at = image.as_ptr().align_offset(32);
            image[at..at + bytes.len()].copy_from_slice(&bytes);
            let module = Module::parse(&image[at..]).unwrap();
            let mut arena = Aligned([0; 256]);
            let whole = module.self_test(&mut arena.0);
            assert_eq!(whole.is_ok(), !spoil);
            let goldens = module.golden_count();
            // One record is 16 steps.
            for (budget, wanted) in [
                (0, LAYERS),
                (1, LAYERS),
                (32, LAYERS.div_ceil(2)),
                (1_000, 1),
            ] {
                let mut test = SelfTest::new();
                let mut steps = 1;
                let result = loop {
                    match test.step(&module, &mut arena.0, budget) {
                        Poll::Ready(result) => break result,
                        Poll::Pending => steps += 1,
                    }
                };
                assert_eq!(result, whole);
                assert_eq!(steps, wanted * goldens, "{budget}");
                arena.0[..WIDTH].fill(200);
                let class = module.run(&mut arena.0).unwrap();
                let output = arena.0[16..32].to_vec();
                arena.0[..WIDTH].fill(200);
                let mut runner = Runner::new();
                let stepped = loop {
                    match runner.step(&module, &mut arena.0, budget, None).unwrap() {
                        Poll::Ready(class) => break class,
                        Poll::Pending => {}
                    }
                };
                assert_eq!((stepped, &arena.0[16..32]), (class, &output[..]));
            }
        }
    }

    #[test]
    fn a_large_layer_runs_row_by_row() {
        let mut b = ModuleBuilder::new();
        b.segment(Segment {
            size: 60,
            align: 4,
            kind: SegmentKind::Scratch,
        });
        let view = View::dense(0, 0, 5, 4, 3);
        let table = core::array::from_fn(|i| (i as u8).wrapping_mul(3) as i8);
        b.op(Lookup {
            input: view,
            output: view,
            table,
        });
        // One step of the innermost loop, which always fits what is left.
        let last = View::dense(0, 59, 1, 1, 1);
        b.op(Lookup {
            input: last,
            output: last,
            table,
        });
        let image = b.finish().unwrap();
        let module = Module::parse(&image).unwrap();
        let input: [u8; 60] = core::array::from_fn(|i| i as u8);
        let mut whole = input;
        module.run(&mut whole).unwrap();
        // A row is 12 steps of the innermost loop.
        for (budget, wanted) in [(0, 6), (12, 6), (30, 3), (59, 2), (61, 1), (u64::MAX, 1)] {
            let mut arena = input;
            let mut runner = Runner::new();
            let (mut steps, mut shown) = (0, Vec::new());
            loop {
                steps += 1;
                let mut trace = |layer: usize, bytes: &[u8]| {
                    if layer == 0 {
                        shown.extend_from_slice(bytes);
                    }
                };
                let run = runner.step(&module, &mut arena, budget, Some(&mut trace));
                if run.unwrap().is_ready() {
                    break;
                }
            }
            assert_eq!((steps, arena), (wanted, whole), "{budget}");
            assert_eq!(shown[..59], whole[..59]);
        }
    }
}
