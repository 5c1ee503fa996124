//! The portable kernels, as a device runs them.

use tinsmith_module::Module;

use super::{Engine, Outcome, Session, Trace};

/// See the module.
pub(crate) struct Kernels<'a> {
    module: &'a Module<'a>,
}

impl<'a> Kernels<'a> {
    /// An engine for a module.
    pub(crate) fn new(module: &'a Module<'a>) -> Self {
        Self { module }
    }
}

impl Engine for Kernels<'_> {
    fn name(&self) -> &'static str {
        "the kernels"
    }

    fn start(&self) -> Box<dyn Session + '_> {
        let mut arena = vec![0; self.module.arena_bytes()];
        // The arena is large enough.
        let _ = self.module.reset(&mut arena);
        Box::new(Memory {
            module: self.module,
            arena,
        })
    }

    fn self_test(&self) -> Result<(), String> {
        // The golden results come from the specification.
        if self.module.golden_count() == 0 {
            return Ok(());
        }
        let mut arena = vec![0; self.module.arena_bytes()];
        let tested = self.module.self_test(&mut arena);
        tested.map_err(|e| format!("self test: {e}"))
    }
}

struct Memory<'a> {
    module: &'a Module<'a>,
    arena: Vec<u8>,
}

impl Session for Memory<'_> {
    fn run(&mut self, inputs: &[Vec<u8>], trace: Option<Trace<'_>>) -> Result<Outcome, String> {
        let (module, arena) = (self.module, &mut self.arena);
        for (index, bytes) in inputs.iter().enumerate() {
            let range = module.input_range(index);
            match range.and_then(|range| arena.get_mut(range)) {
                Some(place) if place.len() == bytes.len() => place.copy_from_slice(bytes),
                _ => return Err("the module's input has another size than the graph's".into()),
            }
        }
        let class = match trace {
            Some(trace) => module.run_traced(arena, trace),
            None => module.run(arena),
        };
        let class = class.map_err(|e| e.to_string())?;
        let mut outputs = Vec::new();
        while let Some(range) = module.output_range(outputs.len()) {
            let bytes = arena.get(range);
            outputs.push(bytes.ok_or("an output lies outside the arena")?.to_vec());
        }
        Ok(Outcome {
            outputs,
            class: class.map(|class| class.index),
        })
    }
}
