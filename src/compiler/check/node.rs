//! Nodes: a known operator with as many inputs and outputs as it may have, attributes in their range.

use tinsmith_build_job::Problem;
use tract_onnx::pb;

use super::{shape_text, tensor};
use crate::onnx::{MAX_RANK, clip};
use crate::operators;

/// Largest kernel, stride, dilation or pad.
const MAX_WINDOW: i64 = 1 << 15;

pub(super) fn check(node: &pb::NodeProto) -> Result<(), Problem> {
    if !(node.domain.is_empty() || node.domain == "ai.onnx") {
        return Err(Problem::ForeignDomain {
            domain: clip(&node.domain),
        });
    }
    let Some(operator) = operators::find(&node.op_type) else {
        return Err(Problem::UnknownOperator {
            advice: operators::advice(&node.op_type),
        });
    };
    if !operator.inputs.contains(&node.input.len()) {
        let (lo, hi) = (operator.inputs.start(), operator.inputs.end());
        let rule = if lo == hi {
            format!("it needs {lo}")
        } else {
            format!("it takes {lo} to {hi}")
        };
        return Err(Problem::Arity {
            what: "inputs".into(),
            found: node.input.len() as u64,
            rule,
        });
    }
    let used = node.output.iter().filter(|name| !name.is_empty()).count();
    if !operator.outputs.contains(&used) || node.output.first().is_none_or(String::is_empty) {
        let rule = match *operator.outputs.end() {
            1 => "only the first output is supported".into(),
            most => format!("it gives up to {most}"),
        };
        return Err(Problem::Arity {
            what: "outputs".into(),
            found: used as u64,
            rule,
        });
    }
    for attribute in &node.attribute {
        check_attribute(attribute)?;
    }
    Ok(())
}

fn check_attribute(attribute: &pb::AttributeProto) -> Result<(), Problem> {
    let bad = |value: String, rule: &str| {
        Err(Problem::Attribute {
            attribute: clip(&attribute.name),
            value,
            rule: rule.into(),
        })
    };
    if !attribute.ref_attr_name.is_empty() {
        return bad(
            clip(&attribute.ref_attr_name),
            "references to attributes are not supported",
        );
    }
    if let Some(tensor) = &attribute.t {
        tensor::check(tensor)?;
    }
    if let Some(value) = attribute
        .floats
        .iter()
        .chain([&attribute.f])
        .find(|v| !v.is_finite())
    {
        return bad(value.to_string(), "it must be a finite number");
    }
    let ranges = |range: std::ops::RangeInclusive<i64>, rule: &str| {
        if attribute.ints.is_empty() {
            return bad("empty".into(), rule);
        }
        match attribute.ints.iter().find(|v| !range.contains(v)) {
            Some(value) => bad(value.to_string(), rule),
            None => Ok(()),
        }
    };
    match attribute.name.as_str() {
        "strides" => ranges(1..=MAX_WINDOW, "every stride must be 1 to 32768"),
        "dilations" => ranges(1..=MAX_WINDOW, "every dilation must be 1 to 32768"),
        "kernel_shape" => ranges(
            1..=MAX_WINDOW,
            "every extent of a kernel must be 1 to 32768",
        ),
        "pads" => ranges(0..=MAX_WINDOW, "every pad must be 0 to 32768"),
        "axes" => ranges(-8..=7, "every axis must be -8 to 7"),
        "perm" => {
            let mut sorted = attribute.ints.clone();
            sorted.sort_unstable();
            if sorted.len() <= MAX_RANK && sorted.iter().zip(0..).all(|(&v, i)| v == i) {
                Ok(())
            } else {
                bad(
                    shape_text(&attribute.ints),
                    "it must be a permutation of the axes",
                )
            }
        }
        "group" if !(1..=1 << 20).contains(&attribute.i) => bad(
            attribute.i.to_string(),
            "the number of groups must be 1 to 1048576",
        ),
        "axis" if !(-8..=8).contains(&attribute.i) => {
            bad(attribute.i.to_string(), "the axis must be -8 to 8")
        }
        "ceil_mode" | "keepdims" | "count_include_pad" | "transA" | "transB"
            if !(0..=1).contains(&attribute.i) =>
        {
            bad(attribute.i.to_string(), "it must be 0 or 1")
        }
        "epsilon" if attribute.f < 0.0 => bad(attribute.f.to_string(), "it must not be negative"),
        "auto_pad"
            if !matches!(
                attribute.s.as_slice(),
                b"" | b"NOTSET" | b"SAME_UPPER" | b"SAME_LOWER" | b"VALID"
            ) =>
        {
            let value = clip(&String::from_utf8_lossy(&attribute.s));
            bad(value, "it must be NOTSET, SAME_UPPER, SAME_LOWER or VALID")
        }
        _ => Ok(()),
    }
}
