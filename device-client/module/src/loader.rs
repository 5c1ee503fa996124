//! Reading an image that nobody vouches for.

mod host;

pub use host::{Host, Refusal};

use core::ops::Range;

use lwm2m_objects::compute::Task;

use crate::arena::Arena;
use crate::format::golden::{Golden, Goldens};
use crate::format::header::{Header, MUST_UNDERSTAND, Place, Segments, section, u16_at, u32_at};
use crate::format::io::{self, Io};
use crate::format::labels::Labels;
use crate::format::{ModuleError, SegmentKind, Tensor, record};
use crate::kernels::{self, Ask, Kernel};
use crate::plan::{Context, Facts, Reader, Record, Span};

/// A checked image.
#[derive(Debug, Clone, Copy)]
pub struct Module<'m> {
    image: &'m [u8],
    header: Header<'m>,
    records: &'m [u8],
    layers: u16,
    context: Context<'m>,
    reset: &'m [u8],
    io: Io<'m>,
    labels: Labels<'m>,
    goldens: Goldens<'m>,
    table: &'m [&'m Kernel],
}

/// A record of the plan with the kernel that runs it.
#[derive(Debug, Clone, Copy)]
pub struct Step<'m> {
    layer: usize,
    kernel: &'m Kernel,
    reader: Reader<'m>,
}

impl Step<'_> {
    /// Index of the record in the plan.
    pub fn layer(&self) -> usize {
        self.layer
    }

    /// Where the result goes, and how much work it is.
    pub fn facts(&self) -> Facts {
        self.call(Ask::Facts)
    }

    /// Computes output rows `rows`, as far as there are; each row of the result must be computed
    /// once, in ascending order, and the whole result before the next step.
    pub fn run(&self, arena: &mut Arena<'_>, rows: Range<usize>) -> Facts {
        self.call(Ask::Run(arena, rows))
    }

    /// The operator makes scores ([`Facts::scores`]).
    pub fn makes_scores(&self) -> bool {
        self.kernel.scores
    }

    fn call(&self, ask: Ask<'_, '_>) -> Facts {
        // The record was checked when the module was loaded.
        (self.kernel.call)(self.reader, ask).unwrap_or(Facts {
            output: Span::dense(0, 0, 0, 0),
            scores: None,
            work: 0,
        })
    }
}

/// The sections that this version uses, by their kinds.
struct Sections<'m>([Option<&'m [u8]>; section::RESET as usize + 1]);

impl<'m> Sections<'m> {
    const USED: u16 = 1 << section::PLAN
        | 1 << section::CONST
        | 1 << section::IO
        | 1 << section::LABELS
        | 1 << section::GOLDEN
        | 1 << section::RESET;

    /// Without `calls`, CODE is a section that is not known.
    fn parse(image: &'m [u8], header: &Header<'m>, calls: bool) -> Result<Self, ModuleError> {
        let used = Self::USED | u16::from(calls) << section::CODE;
        let mut sections = Sections([None; _]);
        let mut last = header.end;
        for entry in header.sections {
            let kind = u16_at(entry, 0).unwrap_or(0);
            let start = u32_at(entry, 4).unwrap_or(0) as usize;
            let length = u32_at(entry, 8).unwrap_or(0) as usize;
            let number = kind & !MUST_UNDERSTAND;
            let bytes = image
                .get(start..)
                .and_then(|rest| rest.get(..length))
                .filter(|_| start >= last)
                .ok_or(ModuleError::SectionBounds(number))?;
            last = start + length;
            let slot = sections.0.get_mut(usize::from(number));
            let Some(slot) = slot.filter(|_| used >> number & 1 == 1) else {
                if kind & MUST_UNDERSTAND != 0 {
                    return Err(ModuleError::UnknownSection(number));
                }
                continue;
            };
            if u16_at(entry, 2) != Some(0) {
                return Err(ModuleError::Reserved);
            }
            if slot.replace(bytes).is_some() {
                return Err(ModuleError::DuplicateSection(number));
            }
        }
        Ok(sections)
    }

    fn find(&self, number: u16) -> Option<&'m [u8]> {
        self.0.get(usize::from(number)).copied().flatten()
    }

    fn need(&self, number: u16) -> Result<&'m [u8], ModuleError> {
        self.find(number).ok_or(ModuleError::MissingSection(number))
    }
}

impl<'m> Module<'m> {
    /// Checks an image for all kernels of this crate; see [`parse_for`](Self::parse_for).
    pub fn parse(image: &'m [u8]) -> Result<Module<'m>, ModuleError> {
        Module::parse_for(image, kernels::ALL)
    }

    /// Checks an image that is to run on the kernels of `table`; what it returns can be run without
    /// a further look at the bytes. Bytes after the image's own length (a slot is larger) are
    /// ignored.
    pub fn parse_for(image: &'m [u8], table: &'m [&'m Kernel]) -> Result<Module<'m>, ModuleError> {
        let header = Header::parse(image)?;
        let image = image.get(..header.length).ok_or(ModuleError::Truncated)?;
        let calls = table.iter().any(|kernel| kernel.id == record::CALL);
        let sections = Sections::parse(image, &header, calls)?;
        let plan = sections.need(section::PLAN)?;
        let io = sections.need(section::IO)?;
        let layers = u16_at(plan, 0).ok_or(ModuleError::PlanLength)?;
        if u16_at(plan, 2) != Some(0) {
            return Err(ModuleError::Reserved);
        }
        let mut module = Module {
            image,
            header,
            records: plan.get(4..).ok_or(ModuleError::PlanLength)?,
            layers,
            context: Context {
                segments: header.segments,
                consts: sections.find(section::CONST).unwrap_or(&[]),
                code: sections.find(section::CODE).unwrap_or(&[]),
            },
            reset: sections.find(section::RESET).unwrap_or(&[]),
            io: Io::parse(io, &header.segments)?,
            labels: Labels::default(),
            goldens: Goldens::default(),
            table,
        };
        if let Some(reset) = sections.find(section::RESET) {
            let states = module.segments().filter(|s| s.kind == SegmentKind::State);
            let states: u32 = states.map(|s| s.size).sum();
            if reset.len() != states as usize {
                return Err(ModuleError::Reset);
            }
        }
        module.check_plan()?;
        if let Some(bytes) = sections.find(section::LABELS) {
            module.labels = Labels::parse(bytes).ok_or(ModuleError::Labels)?;
        }
        if let Some(bytes) = sections.find(section::GOLDEN) {
            // Inputs lie in segments whose sum fits 31 bits, but may overlap.
            let input_bytes = module
                .inputs()
                .try_fold(0usize, |sum, tensor| sum.checked_add(tensor.bytes as usize))
                .ok_or(ModuleError::Io)?;
            module.goldens = Goldens::parse(bytes, usize::from(layers), input_bytes)
                .ok_or(ModuleError::Golden)?;
        }
        Ok(module)
    }

    fn check_plan(&self) -> Result<(), ModuleError> {
        let mut rest = self.records;
        for layer in 0..self.layers {
            let (operator, version, payload, next) =
                split_record(rest).ok_or(ModuleError::PlanLength)?;
            rest = next;
            let Some(kernel) = self.kernel(operator, version) else {
                if operator & record::MUST_UNDERSTAND != 0 {
                    let operator = operator & !record::MUST_UNDERSTAND;
                    return Err(ModuleError::UnknownRecord {
                        layer,
                        operator,
                        version,
                    });
                }
                continue;
            };
            (kernel.call)(self.reader(version, payload), Ask::Verify)
                .map_err(|problem| ModuleError::Record { layer, problem })?;
        }
        if rest.is_empty() {
            Ok(())
        } else {
            Err(ModuleError::PlanLength)
        }
    }

    /// The kernel that runs records of this operator and version.
    fn kernel(&self, operator: u16, version: u16) -> Option<&'m Kernel> {
        let operator = operator & !record::MUST_UNDERSTAND;
        let runs = |k: &&Kernel| k.id == operator && (1..=k.version).contains(&version);
        self.table.iter().copied().find(runs)
    }

    fn reader<'s>(&'s self, version: u16, payload: &'s [u8]) -> Reader<'s> {
        Reader::new(payload, &self.context, version)
    }

    /// Operator, version and payload of each record with its index.
    fn entries(&self) -> impl Iterator<Item = (usize, u16, u16, &'m [u8])> + 'm {
        let mut rest = self.records;
        (0..usize::from(self.layers)).map_while(move |layer| {
            let (operator, version, payload, next) = split_record(rest)?;
            rest = next;
            Some((layer, operator, version, payload))
        })
    }

    /// The steps of a run in order, without the records that may be skipped.
    pub fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        self.entries()
            .filter_map(|(layer, operator, version, payload)| {
                Some(Step {
                    layer,
                    kernel: self.kernel(operator, version)?,
                    reader: self.reader(version, payload),
                })
            })
    }

    /// The records of the plan in order, without those that this crate may skip.
    pub fn records(&self) -> impl Iterator<Item = (usize, Record<'_>)> {
        self.entries()
            .filter_map(|(layer, operator, version, payload)| {
                let record = Record::decode(operator, version, self.reader(version, payload));
                Some((layer, record.ok()??))
            })
    }

    /// The image without what follows it.
    pub fn image(&self) -> &'m [u8] {
        self.image
    }

    /// ABI version the module was built for.
    pub fn abi(&self) -> u16 {
        self.header.abi
    }

    /// Kernels that the plan needs as (id, version).
    pub fn kernels(&self) -> impl Iterator<Item = (u16, u16)> + 'm {
        self.header.kernels()
    }

    /// Bytes of arena that a run needs: all segments one after the other.
    pub fn arena_bytes(&self) -> usize {
        self.header.segments.total()
    }

    /// Bytes of stack that a run needs at most.
    pub fn stack_bytes(&self) -> u32 {
        self.header.stack_bytes
    }

    /// Multiply-accumulates of one inference.
    pub fn macs(&self) -> u64 {
        self.header.macs
    }

    /// Steps of the innermost loops of one inference, at most, counted from the plan and not told by
    /// the header: a bound for the time of a run.
    pub fn work(&self) -> u64 {
        let records = u64::from(self.layers);
        self.steps()
            .fold(records, |sum, step| sum.saturating_add(step.facts().work))
    }

    /// As [`work`](Self::work), of the whole self test.
    pub fn self_test_work(&self) -> u64 {
        let inputs = self.inputs().map(|t| u64::from(t.bytes)).sum();
        let step = self.work().saturating_add(inputs);
        let steps: u64 = self.goldens().map(|g| u64::from(g.steps)).sum();
        steps.saturating_mul(step)
    }

    /// Bytes of weights and tables.
    pub fn const_bytes(&self) -> usize {
        self.context.consts.len()
    }

    /// Records in the plan.
    pub fn layer_count(&self) -> usize {
        usize::from(self.layers)
    }

    /// Input tensors in order.
    pub fn inputs(&self) -> impl Iterator<Item = Tensor> + 'm {
        self.io.inputs()
    }

    /// Output tensors in order.
    pub fn outputs(&self) -> impl Iterator<Item = Tensor> + 'm {
        self.io.outputs()
    }

    /// The arena segments in order, and where they lie if all are in one memory.
    pub fn segments(&self) -> impl Iterator<Item = Place> + 'm {
        self.header.segments.iter()
    }

    /// What an [`Arena`] is made of.
    pub fn arena(&self) -> Segments<'m> {
        self.header.segments
    }

    /// What the state segments hold at reset, one after another; empty where that is zeros.
    pub fn states_at_reset(&self) -> &'m [u8] {
        self.reset
    }

    /// Bytes of a tensor in an arena that is one memory.
    pub fn range(&self, tensor: &Tensor) -> Range<usize> {
        io::range(tensor, &self.header.segments)
    }

    /// Bytes of input tensor `i` in an arena that is one memory.
    pub fn input_range(&self, i: usize) -> Option<Range<usize>> {
        self.inputs().nth(i).map(|tensor| self.range(&tensor))
    }

    /// Bytes of output tensor `i` in an arena that is one memory.
    pub fn output_range(&self, i: usize) -> Option<Range<usize>> {
        self.outputs().nth(i).map(|tensor| self.range(&tensor))
    }

    /// The first output with the task [`Task::Classify`].
    pub fn classifier(&self) -> Option<Tensor> {
        self.outputs()
            .find(|tensor| tensor.task == Some(Task::Classify))
    }

    /// The CBOR array of 27303/x/17.
    pub fn input_descriptor(&self) -> &'m [u8] {
        self.io.input_descriptor
    }

    /// The CBOR array of 27303/x/18.
    pub fn output_descriptor(&self) -> &'m [u8] {
        self.io.output_descriptor
    }

    /// Class names in order, 27303/x/19.
    pub fn labels(&self) -> impl Iterator<Item = &'m str> + 'm {
        self.labels.iter()
    }

    /// Golden inputs in order.
    pub fn goldens(&self) -> impl Iterator<Item = Golden<'m>> + 'm {
        self.goldens.iter()
    }

    /// Number of golden inputs.
    pub fn golden_count(&self) -> usize {
        self.goldens.len()
    }
}

/// Operator, version and payload of the record that `bytes` begins with, and what follows it.
fn split_record(bytes: &[u8]) -> Option<(u16, u16, &[u8], &[u8])> {
    let length = u32_at(bytes, 4)? as usize;
    let (payload, rest) = bytes.get(8..)?.split_at_checked(length)?;
    length
        .is_multiple_of(4)
        .then_some((u16_at(bytes, 0)?, u16_at(bytes, 2)?, payload, rest))
}
