//! Laying out the image.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Range;

use lwm2m_objects::compute::write_descriptors;

use super::writer::{Pools, Writer};
use super::{BuildError, GoldenInput, ModuleBuilder, Op, TensorSpec};
use crate::arena::Arena;
use crate::format::header::{
    HEADER_BYTES, KERNEL_BYTES, MAGIC, MAX_SEGMENTS, MUST_UNDERSTAND, SECTION_BYTES, SEGMENT_BYTES,
    section,
};
use crate::format::record;
use crate::format::{ABI_VERSION, CONTAINER_VERSION, IMAGE_ALIGN, NUMERICS_VERSION};
use crate::kernels::{self, Kernel, Machine};
use crate::loader::Module;
use crate::plan::Problem;
use crate::plan::call::CallRecord;

/// Takes every call: whether a device can run it is not the writer's business.
struct AnyCode;

impl Machine for AnyCode {
    fn check(_: &CallRecord<'_>) -> Result<(), Problem> {
        Ok(())
    }

    fn run(_: &CallRecord<'_>, _: &mut Arena<'_>, _: Range<usize>) {}
}

static ANY_CODE: Kernel = Kernel::calls::<AnyCode>();

fn u16_of(value: usize, what: &'static str) -> Result<[u8; 2], BuildError> {
    u16::try_from(value)
        .map(u16::to_le_bytes)
        .map_err(|_| BuildError::TooLarge(what))
}

fn u32_of(value: usize, what: &'static str) -> Result<[u8; 4], BuildError> {
    u32::try_from(value)
        .map(u32::to_le_bytes)
        .map_err(|_| BuildError::TooLarge(what))
}

fn pad(bytes: &mut Vec<u8>, align: usize) {
    bytes.resize(bytes.len().next_multiple_of(align), 0);
}

impl ModuleBuilder {
    /// Writes the module. The same calls give the same bytes, and the image loads.
    pub fn finish(&self) -> Result<Vec<u8>, BuildError> {
        let mut pools = Pools::default();
        let mut kernels = BTreeSet::new();
        let plan = self.plan(&mut pools, &mut kernels)?;
        let mut sections = Vec::new();
        sections.push((section::PLAN | MUST_UNDERSTAND, 4, plan));
        sections.push((section::IO | MUST_UNDERSTAND, 4, self.io()?));
        if !self.labels.is_empty() {
            sections.push((section::LABELS, 4, self.label_section()?));
        }
        if !self.goldens.is_empty() {
            sections.push((section::GOLDEN, 4, self.golden_section()?));
        }
        if self.reset.iter().any(|&byte| byte != 0) {
            sections.push((section::RESET | MUST_UNDERSTAND, 4, self.reset.clone()));
        }
        let Pools { consts, code } = pools;
        sections.push((section::CONST | MUST_UNDERSTAND, IMAGE_ALIGN, consts.bytes));
        if !code.bytes.is_empty() {
            sections.push((section::CODE | MUST_UNDERSTAND, IMAGE_ALIGN, code.bytes));
        }
        let image = self.image(&sections, &kernels)?;
        let mut table = kernels::ALL.to_vec();
        table.push(&ANY_CODE);
        Module::parse_for(&image, &table).map_err(BuildError::Load)?;
        Ok(image)
    }

    fn image(
        &self,
        sections: &[(u16, usize, Vec<u8>)],
        kernels: &BTreeSet<(u16, u16)>,
    ) -> Result<Vec<u8>, BuildError> {
        if self.segments.len() > MAX_SEGMENTS {
            return Err(BuildError::TooLarge("the number of arena segments"));
        }
        let mut end = HEADER_BYTES
            + self.segments.len() * SEGMENT_BYTES
            + kernels.len() * KERNEL_BYTES
            + sections.len() * SECTION_BYTES;
        let mut starts = Vec::with_capacity(sections.len());
        for (_, align, bytes) in sections {
            let start = end.next_multiple_of(*align);
            starts.push(start);
            end = start + bytes.len();
        }
        let length = end.next_multiple_of(4);

        let mut image = Vec::with_capacity(length);
        image.extend_from_slice(&MAGIC);
        for version in [CONTAINER_VERSION, NUMERICS_VERSION, ABI_VERSION, 0] {
            image.extend_from_slice(&version.to_le_bytes());
        }
        image.extend_from_slice(&u32_of(length, "the module")?);
        image.extend_from_slice(&self.stack_bytes.to_le_bytes());
        // Entries reset and run.
        image.extend_from_slice(&[0; 8]);
        image.extend_from_slice(&self.macs.to_le_bytes());
        let instruction_sets = self.ops.iter().fold(0, |all, op| match op {
            Op::Call(call) => all | call.instruction_sets,
            _ => all,
        });
        image.extend_from_slice(&instruction_sets.to_le_bytes());
        let counts = [
            self.segments.len() as u8,
            kernels.len() as u8,
            sections.len() as u8,
            0,
        ];
        image.extend_from_slice(&counts);
        image.extend_from_slice(&[0; 4]);
        for segment in &self.segments {
            if !segment.align.is_power_of_two() {
                return Err(BuildError::Shape("the alignment of an arena segment"));
            }
            image.extend_from_slice(&segment.size.to_le_bytes());
            let align_log2 = segment.align.trailing_zeros() as u8;
            image.extend_from_slice(&[segment.kind as u8, align_log2, 0, 0]);
        }
        for (id, version) in kernels {
            image.extend_from_slice(&id.to_le_bytes());
            image.extend_from_slice(&version.to_le_bytes());
        }
        for ((kind, _, bytes), &start) in sections.iter().zip(&starts) {
            image.extend_from_slice(&kind.to_le_bytes());
            image.extend_from_slice(&[0; 2]);
            image.extend_from_slice(&u32_of(start, "the module")?);
            image.extend_from_slice(&u32_of(bytes.len(), "a section")?);
        }
        for ((_, align, bytes), start) in sections.iter().zip(starts) {
            pad(&mut image, *align);
            debug_assert_eq!(image.len(), start);
            image.extend_from_slice(bytes);
        }
        pad(&mut image, 4);
        Ok(image)
    }

    /// The section PLAN; the kernels it needs are added to `kernels`.
    fn plan(
        &self,
        pools: &mut Pools,
        kernels: &mut BTreeSet<(u16, u16)>,
    ) -> Result<Vec<u8>, BuildError> {
        let mut out = Vec::new();
        out.extend_from_slice(&u16_of(self.ops.len(), "the number of records")?);
        out.extend_from_slice(&[0; 2]);
        for op in &self.ops {
            let mut writer = Writer::new(pools);
            op.encode(&mut writer)?;
            let (id, version) = (op.id(), writer.version);
            let mut payload = writer.bytes;
            pad(&mut payload, 4);
            kernels.insert((id, version));
            out.extend_from_slice(&(id | record::MUST_UNDERSTAND).to_le_bytes());
            out.extend_from_slice(&version.to_le_bytes());
            out.extend_from_slice(&u32_of(payload.len(), "a record")?);
            out.extend_from_slice(&payload);
        }
        Ok(out)
    }

    fn io(&self) -> Result<Vec<u8>, BuildError> {
        let cbor = |tensors: &[TensorSpec]| {
            let all: Vec<_> = tensors.iter().map(|tensor| &tensor.descriptor).collect();
            write_descriptors(&all)
        };
        let (input_cbor, output_cbor) = (cbor(&self.inputs), cbor(&self.outputs));
        let mut out = Vec::new();
        out.extend_from_slice(&u16_of(self.inputs.len(), "the number of inputs")?);
        out.extend_from_slice(&u16_of(self.outputs.len(), "the number of outputs")?);
        out.extend_from_slice(&u32_of(input_cbor.len(), "the inputs' descriptor")?);
        out.extend_from_slice(&u32_of(output_cbor.len(), "the outputs' descriptor")?);
        for tensor in self.inputs.iter().chain(&self.outputs) {
            tensor.descriptor.check().map_err(BuildError::Descriptor)?;
            push_tensor(&mut out, tensor)?;
        }
        out.extend_from_slice(&input_cbor);
        out.extend_from_slice(&output_cbor);
        Ok(out)
    }

    fn label_section(&self) -> Result<Vec<u8>, BuildError> {
        let mut out = Vec::new();
        out.extend_from_slice(&u16_of(self.labels.len(), "the number of labels")?);
        for label in &self.labels {
            out.extend_from_slice(&u16_of(label.len(), "a label")?);
            out.extend_from_slice(label.as_bytes());
        }
        Ok(out)
    }

    fn golden_section(&self) -> Result<Vec<u8>, BuildError> {
        let mut out = Vec::new();
        out.extend_from_slice(&u16_of(self.goldens.len(), "the number of golden inputs")?);
        out.extend_from_slice(&[0; 2]);
        for golden in &self.goldens {
            let (kind, number) = match &golden.input {
                GoldenInput::Raw(bytes) => (0, u32_of(bytes.len(), "a golden input")?),
                GoldenInput::Seed(seed) => (1, seed.to_le_bytes()),
            };
            out.extend_from_slice(&[kind, 0]);
            out.extend_from_slice(&golden.steps.to_le_bytes());
            out.extend_from_slice(&number);
            out.extend_from_slice(&golden.digest);
            out.extend_from_slice(&u16_of(golden.crcs.len(), "the number of records")?);
            out.extend_from_slice(&[0; 2]);
            for crc in &golden.crcs {
                out.extend_from_slice(&crc.to_le_bytes());
            }
            if let GoldenInput::Raw(bytes) = &golden.input {
                out.extend_from_slice(bytes);
                pad(&mut out, 4);
            }
        }
        Ok(out)
    }
}

fn push_tensor(out: &mut Vec<u8>, tensor: &TensorSpec) -> Result<(), BuildError> {
    let TensorSpec {
        descriptor,
        segment,
        offset,
    } = tensor;
    let task = descriptor.task.map_or(0, |task| task as u8);
    out.extend_from_slice(&[*segment, 0, descriptor.dtype as u8, task]);
    out.extend_from_slice(&offset.to_le_bytes());
    let bytes = u32::try_from(descriptor.bytes()).map_err(|_| BuildError::TooLarge("a tensor"))?;
    out.extend_from_slice(&bytes.to_le_bytes());
    let (scale, zero_point) = match (descriptor.scales.first(), descriptor.zero_points.first()) {
        (Some(&scale), Some(&zero_point)) => (scale, zero_point),
        _ => return Err(BuildError::Shape("the scales and zero points of a tensor")),
    };
    out.extend_from_slice(&scale.to_le_bytes());
    // The descriptor has the one that lies outside the bytes.
    out.extend_from_slice(&zero_point.clamp(-128, 127).to_le_bytes());
    Ok(())
}
