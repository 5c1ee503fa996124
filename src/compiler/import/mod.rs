//! From a checked ONNX file to the intermediate representation.
//!
//! Structure, attributes and constants come from the protobuf; shapes follow from the operators, and
//! tract, where it can load the graph, has to agree. Every ONNX tensor keeps its name, shape and
//! order; operators that work on channels-last tensors are wrapped in moves, which the layout passes
//! remove.

mod importer;
pub(crate) mod node;

use std::collections::HashSet;
use std::ops::RangeInclusive;

use tinsmith_build_job::{CompileError, ModelError, Problem};
use tract_onnx::pb;

use crate::ir::{Graph, Port, Role, Tensor, TensorId};
use crate::onnx::{self, Checked};
use crate::oracle::Typed;
pub(crate) use importer::Importer;
pub(crate) use node::NodeView;

type Import = fn(&mut Importer<'_>, &NodeView<'_>) -> Result<(), Problem>;

/// An ONNX operator that can be imported.
pub(crate) struct OnnxOperator {
    /// ONNX name.
    pub name: &'static str,
    /// How many inputs it may have.
    pub inputs: RangeInclusive<usize>,
    /// How many outputs it may have that are used.
    pub outputs: RangeInclusive<usize>,
    import: Import,
}

/// An operator with one output.
pub(crate) const fn known(
    name: &'static str,
    inputs: RangeInclusive<usize>,
    import: Import,
) -> OnnxOperator {
    OnnxOperator {
        name,
        inputs,
        outputs: 1..=1,
        import,
    }
}

/// An imported model.
pub(crate) struct Imported {
    /// Its graph.
    pub graph: Graph,
    /// The ONNX names of computed tensors, in the order of the file.
    pub names: Vec<(String, TensorId)>,
}

/// Builds the graph of a checked file. `operators` finds an operator by its ONNX name.
pub(crate) fn import(
    model: &str,
    checked: &Checked,
    typed: Option<&Typed>,
    operators: &dyn Fn(&str) -> Option<&'static OnnxOperator>,
) -> Result<Imported, CompileError> {
    let fault = |node: Option<&pb::NodeProto>, problem| ModelError {
        model: model.into(),
        node: node.map(onnx::node_name),
        operator: node.map(|node| onnx::clip(&node.op_type)),
        problem,
    };
    let at = |node, problem| CompileError::Model(Box::new(fault(node, problem)));
    let Some(proto) = checked.model.graph.as_ref() else {
        return Err(at(None, Problem::NoGraph));
    };
    let mut importer = Importer::new(typed, checked.opset);
    for tensor in &proto.initializer {
        let id = importer.constant_proto(&tensor.name, tensor);
        importer.name(&tensor.name, id);
    }
    for input in &proto.input {
        if importer.named(&input.name).is_some() {
            continue;
        }
        let Some(shape) = onnx::input_shape(input) else {
            let (tensor, shape) = (onnx::clip(&input.name), "unknown".into());
            return Err(at(None, Problem::DynamicShape { tensor, shape }));
        };
        let tensor = importer.add(Tensor::activation(&input.name, shape.clone()));
        importer.name(&input.name, tensor);
        let port = Port::new(&input.name, shape, tensor);
        importer.graph.inputs.push(port);
    }
    // All nodes that can't be imported are told; what reads their results is passed over.
    let mut faults = checked.faults.clone();
    let mut lost: HashSet<&str> = checked.lost.iter().map(String::as_str).collect();
    for node in &proto.node {
        let mut ends = node.input.iter().chain(&node.output);
        let nothing = node.output.first().is_none_or(String::is_empty);
        if nothing || ends.any(|name| lost.contains(name.as_str())) {
            let given = node.output.iter().filter(|name| !name.is_empty());
            lost.extend(given.map(String::as_str));
            continue;
        }
        let Some(operator) = operators(&node.op_type) else {
            let advice = "it was not checked".into();
            return Err(at(Some(node), Problem::UnknownOperator { advice }));
        };
        importer.begin(node);
        let imported = (operator.import)(&mut importer, &NodeView::new(node));
        if let Err(problem) = imported.and_then(|()| importer.fold()) {
            lost.extend(node.output.iter().map(String::as_str));
            faults.push(fault(Some(node), problem));
        }
    }
    if let Some(error) = onnx::told(&faults) {
        return Err(error);
    }
    for output in &proto.output {
        let Some(tensor) = importer.named(&output.name) else {
            let tensor = onnx::clip(&output.name);
            return Err(at(None, Problem::NotProduced { tensor }));
        };
        if importer.tensor(tensor).role != Role::Activation {
            let what = "the model's output does not depend on its input; export it again".into();
            return Err(at(None, Problem::Unsupported { what }));
        }
        let shape = importer.shape(tensor).to_vec();
        let port = Port::new(&output.name, shape, tensor);
        importer.graph.outputs.push(port);
    }
    let names = proto
        .node
        .iter()
        .flat_map(|node| &node.output)
        .filter_map(|name| {
            let id = importer.named(name)?;
            (!importer.tensor(id).is_constant()).then(|| (name.clone(), id))
        })
        .collect();
    Ok(Imported {
        graph: importer.graph,
        names,
    })
}
