//! Nodes whose results nobody reads go away.

use crate::ir::Graph;

/// Removes them, last first.
pub(super) fn sweep(graph: &mut Graph) {
    for id in graph.order().into_iter().rev() {
        let Some(node) = graph.node(id) else { continue };
        let used = node
            .outputs
            .iter()
            .any(|&o| graph.is_kept(o) || !graph.consumers(o).is_empty());
        if !used {
            graph.remove_node(id);
        }
    }
}
