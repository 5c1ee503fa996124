//! The memory plan: which step runs when on which backend, and where each tensor lies.

mod place;

use crate::backend::{self, Backend, BackendError};
use crate::ir::{Graph, Node, NodeId, TensorId};
use crate::operators::Store;
use place::{Buffer, place};

/// Bytes that every tensor's address is a multiple of.
pub(crate) const ALIGN: usize = 4;

/// A node and who does its work.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    /// The node.
    pub node: NodeId,
    /// The backend.
    pub backend: &'static dyn Backend,
    /// Where its scratch memory begins, if it asked for some.
    pub scratch: Option<usize>,
}

/// Memory of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// Needed during a run only.
    Scratch,
    /// Kept from one run to the next.
    State,
}

/// Order and placement.
#[derive(Clone)]
pub(crate) struct Plan {
    /// Steps in order; views need none.
    pub steps: Vec<Step>,
    /// Bytes of scratch memory, exactly.
    pub arena_bytes: usize,
    /// Bytes of state, exactly.
    pub state_bytes: usize,
    /// Bytes in use at each step, state and the step's own scratch memory included.
    pub live_bytes: Vec<usize>,
    places: Vec<Option<(Space, usize)>>,
}

impl Plan {
    /// Where a tensor lies.
    pub(crate) fn place(&self, tensor: TensorId) -> Option<(Space, usize)> {
        self.places.get(tensor.0).copied().flatten()
    }
}

/// Whose memory a tensor is: a view's is its input's, that of a state's next value the state's.
fn root(graph: &Graph, mut tensor: TensorId) -> TensorId {
    while let Some((_, node)) = graph.producer(tensor) {
        tensor = match node.inputs.first() {
            Some(&input) if node.op.is_view() => input,
            _ if node.op.is::<Store>() => {
                match graph.states.iter().find(|state| state.next == tensor) {
                    Some(state) => state.tensor,
                    None => break,
                }
            }
            _ => break,
        };
    }
    tensor
}

/// Nodes that need a step, states stored last, when all who read them have.
fn order(graph: &Graph) -> Vec<(NodeId, &Node)> {
    let steps = graph.order().into_iter();
    let steps = steps.filter_map(|id| Some((id, graph.node(id)?)));
    let (last, first): (Vec<_>, Vec<_>) = steps
        .filter(|(_, node)| !node.op.is_view())
        .partition(|(_, node)| node.op.is::<Store>());
    first.into_iter().chain(last).collect()
}

struct Lifetimes {
    first: Vec<usize>,
    last: Vec<usize>,
}

impl Lifetimes {
    fn new(graph: &Graph, steps: &[(NodeId, &Node)]) -> Self {
        let mut times = Self {
            first: vec![usize::MAX; graph.tensor_count()],
            last: vec![0; graph.tensor_count()],
        };
        for port in &graph.inputs {
            times.touch(root(graph, port.tensor), 0);
        }
        for (step, (_, node)) in steps.iter().enumerate() {
            for &tensor in node.inputs.iter().chain(&node.outputs) {
                if !graph.tensor(tensor).is_constant() {
                    times.touch(root(graph, tensor), step);
                }
            }
        }
        for port in &graph.outputs {
            times.touch(root(graph, port.tensor), steps.len());
        }
        times
    }

    fn touch(&mut self, tensor: TensorId, step: usize) {
        self.first[tensor.0] = self.first[tensor.0].min(step);
        self.last[tensor.0] = self.last[tensor.0].max(step);
    }
}

/// Buffers of tensors, some of which share one.
struct Buffers<'g> {
    graph: &'g Graph,
    times: Lifetimes,
    all: Vec<Buffer>,
    of: Vec<Option<usize>>,
}

impl Buffers<'_> {
    fn own(&mut self, size: usize, first: usize, last: usize) -> usize {
        let size = size.next_multiple_of(ALIGN);
        self.all.push(Buffer { size, first, last });
        self.all.len() - 1
    }

    /// Gives a tensor memory: that of `shared`, or its own.
    fn take(&mut self, tensor: TensorId, shared: Option<usize>) {
        if self.of[tensor.0].is_some() || self.graph.tensor(tensor).is_state() {
            return;
        }
        let (first, last) = (self.times.first[tensor.0], self.times.last[tensor.0]);
        let index = match shared {
            Some(index) => {
                self.all[index].last = self.all[index].last.max(last);
                index
            }
            None => self.own(self.graph.tensor(tensor).bytes(), first, last),
        };
        self.of[tensor.0] = Some(index);
    }

    /// The buffer of an input that the first output of a step may overwrite.
    fn reusable(&self, node: &Node, inputs: &[usize], step: usize) -> Option<usize> {
        let output = self.graph.tensor(*node.outputs.first()?);
        inputs.iter().find_map(|&index| {
            let source = root(self.graph, *node.inputs.get(index)?);
            let tensor = self.graph.tensor(source);
            let dies = self.times.last[source.0] == step
                && !tensor.is_state()
                && tensor.bytes() == output.bytes();
            if dies { self.of[source.0] } else { None }
        })
    }
}

/// States are written one after another, so none may take what another held before.
fn check_states(graph: &Graph, nodes: &[(NodeId, &Node)]) -> Result<(), BackendError> {
    let is_state = |id: TensorId| graph.tensor(root(graph, id)).is_state();
    let stores = nodes.iter().filter(|(_, node)| node.op.is::<Store>());
    let mut read = stores.filter_map(|(_, node)| node.inputs.first());
    if read.any(|&next| is_state(next)) || graph.outputs.iter().any(|port| is_state(port.tensor)) {
        let what = "a state that is given on unchanged, to another state or to the outside";
        return Err(BackendError::Impossible(what.into()));
    }
    Ok(())
}

/// Plans a quantized graph. Each node goes to the backend of the list that does it in the fewest
/// cycles.
pub(crate) fn plan(graph: &Graph, backends: &[&'static dyn Backend]) -> Result<Plan, BackendError> {
    let nodes = order(graph);
    check_states(graph, &nodes)?;
    let mut buffers = Buffers {
        graph,
        times: Lifetimes::new(graph, &nodes),
        all: Vec::new(),
        of: vec![None; graph.tensor_count()],
    };
    for port in &graph.inputs {
        buffers.take(root(graph, port.tensor), None);
    }
    let mut chosen = Vec::with_capacity(nodes.len());
    for (step, &(id, node)) in nodes.iter().enumerate() {
        let backend = backend::choose(backends, graph, node)?;
        let scratch = match backend.scratch_bytes(graph, node) {
            0 => None,
            bytes => Some(buffers.own(bytes, step, step)),
        };
        for (index, &output) in node.outputs.iter().enumerate() {
            let shared = match index {
                0 => buffers.reusable(node, backend.in_place(graph, node), step),
                _ => None,
            };
            buffers.take(root(graph, output), shared);
        }
        chosen.push((id, backend, scratch));
    }
    let (offsets, arena_bytes) = place(&buffers.all);
    let mut state_bytes = 0;
    let mut places = vec![None; graph.tensor_count()];
    for state in &graph.states {
        places[state.tensor.0] = Some((Space::State, state_bytes));
        state_bytes += graph.tensor(state.tensor).bytes().next_multiple_of(ALIGN);
    }
    for index in 0..graph.tensor_count() {
        let root = root(graph, TensorId(index));
        places[index] = match buffers.of[root.0] {
            Some(buffer) => Some((Space::Scratch, offsets[buffer])),
            None => places[root.0],
        };
    }
    let live = |step: usize| {
        let live = buffers.all.iter();
        live.filter(|b| b.first <= step && step <= b.last)
            .map(|b| b.size)
            .sum::<usize>()
    };
    Ok(Plan {
        live_bytes: (0..nodes.len())
            .map(|step| live(step) + state_bytes)
            .collect(),
        steps: chosen
            .into_iter()
            .map(|(node, backend, scratch)| Step {
                node,
                backend,
                scratch: scratch.map(|buffer| offsets[buffer]),
            })
            .collect(),
        arena_bytes,
        state_bytes,
        places,
    })
}

#[cfg(test)]
mod tests;
