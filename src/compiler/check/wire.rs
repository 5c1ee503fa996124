//! A look at the protobuf wire format before anything is decoded, so that a small file can't
//! become a huge structure in memory.

use tinsmith_build_job::Problem;

/// Most nodes in a graph.
pub(crate) const MAX_NODES: u64 = 5_000;
/// Most fields of a graph: nodes, initializers, shapes of intermediate tensors.
const MAX_GRAPH_FIELDS: u64 = 40_000;
/// Most fields of one node or one of its attributes (but see [`MAX_NUMBERS`]).
const MAX_NODE_FIELDS: u64 = 4_096;
/// Most numbers written one by one in a tensor.
const MAX_NUMBERS: u64 = 4_000_000;

/// Field number, and the payload of a length-delimited field.
pub(crate) type Field<'a> = (u64, Option<&'a [u8]>);

/// The fields of a message that are still to come.
pub(crate) struct Fields<'a> {
    /// Their bytes.
    pub bytes: &'a [u8],
}

fn truncated() -> Problem {
    Problem::Malformed {
        detail: "a field ends behind the end of the file".into(),
    }
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<u64, Problem> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.bytes.split_first().ok_or_else(truncated)?;
            self.bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Problem::Malformed {
            detail: "a number of more than 64 bits".into(),
        })
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], Problem> {
        let count = usize::try_from(count).map_err(|_| truncated())?;
        let (head, tail) = self.bytes.split_at_checked(count).ok_or_else(truncated)?;
        self.bytes = tail;
        Ok(head)
    }

    /// The next field.
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>, Problem> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let payload = match tag & 7 {
            0 => {
                self.varint()?;
                None
            }
            1 => {
                self.take(8)?;
                None
            }
            2 => {
                let length = self.varint()?;
                Some(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                None
            }
            other => {
                return Err(Problem::Malformed {
                    detail: format!("wire type {other}"),
                });
            }
        };
        Ok(Some((tag >> 3, payload)))
    }
}

fn limit(what: &str, count: u64, limit: u64) -> Result<(), Problem> {
    if count > limit {
        Err(Problem::TooMany {
            what: what.into(),
            count,
            limit,
        })
    } else {
        Ok(())
    }
}

/// Counts what the file holds and refuses what would take too much memory to decode.
pub(crate) fn scan(file: &[u8]) -> Result<(), Problem> {
    let mut model = Fields { bytes: file };
    let mut fields = 0;
    let mut graphs = 0;
    while let Some((number, payload)) = model.next()? {
        fields += 1;
        limit("fields", fields, MAX_GRAPH_FIELDS)?;
        match (number, payload) {
            (7, Some(graph)) => {
                graphs += 1;
                limit("graphs", graphs, 1)?;
                scan_graph(graph)?;
            }
            (20, _) => {
                let what = "it carries training information; export it for inference".into();
                return Err(Problem::Unsupported { what });
            }
            (25, _) => {
                let what = "it defines functions of its own; export with functions inlined".into();
                return Err(Problem::Unsupported { what });
            }
            _ => {}
        }
    }
    Ok(())
}

fn scan_graph(bytes: &[u8]) -> Result<(), Problem> {
    let mut graph = Fields { bytes };
    let (mut fields, mut nodes) = (0, 0);
    while let Some((number, payload)) = graph.next()? {
        fields += 1;
        limit("fields in its graph", fields, MAX_GRAPH_FIELDS)?;
        match (number, payload) {
            (1, Some(node)) => {
                nodes += 1;
                limit("nodes", nodes, MAX_NODES)?;
                scan_node(node)?;
            }
            (5, Some(tensor)) => scan_tensor(tensor)?,
            (15, _) => {
                let what = "it has sparse weights; export with dense weights".into();
                return Err(Problem::Unsupported { what });
            }
            (11..=13, Some(value)) => limit("bytes in a shape", value.len() as u64, 1 << 16)?,
            _ => {}
        }
    }
    Ok(())
}

fn scan_node(bytes: &[u8]) -> Result<(), Problem> {
    let mut node = Fields { bytes };
    let mut fields = 0;
    while let Some((number, payload)) = node.next()? {
        fields += 1;
        limit("fields in a node", fields, MAX_NODE_FIELDS)?;
        if let (5, Some(attribute)) = (number, payload) {
            scan_attribute(attribute)?;
        }
    }
    Ok(())
}

fn scan_attribute(bytes: &[u8]) -> Result<(), Problem> {
    let mut attribute = Fields { bytes };
    let mut fields = 0;
    while let Some((number, payload)) = attribute.next()? {
        fields += 1;
        limit("values in an attribute", fields, MAX_NODE_FIELDS)?;
        match (number, payload) {
            (5, Some(tensor)) => scan_tensor(tensor)?,
            (8, Some(packed)) => limit("values in an attribute", packed.len() as u64, 1 << 16)?,
            (6 | 10 | 11 | 22 | 23 | 15, _) => {
                let what = "an attribute holds a subgraph or a list of tensors; only plain \
                            feed-forward models can be compiled";
                return Err(Problem::Unsupported { what: what.into() });
            }
            _ => {}
        }
    }
    Ok(())
}

fn scan_tensor(bytes: &[u8]) -> Result<(), Problem> {
    let mut tensor = Fields { bytes };
    let mut fields = 0;
    while let Some((number, payload)) = tensor.next()? {
        fields += 1;
        limit("numbers in a tensor", fields, MAX_NUMBERS)?;
        match (number, payload) {
            (1, Some(packed)) => limit("dimensions in a tensor", packed.len() as u64, 128)?,
            // A packed varint of one byte decodes to eight.
            (5 | 7 | 11, Some(packed)) => {
                limit("numbers in a tensor", packed.len() as u64, MAX_NUMBERS)?;
            }
            (6, _) => {
                let what = "a tensor holds strings; remove text processing from the model".into();
                return Err(Problem::Unsupported { what });
            }
            (13, _) => {
                return Err(Problem::ExternalData {
                    tensor: name_of(bytes),
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn name_of(bytes: &[u8]) -> String {
    let mut tensor = Fields { bytes };
    while let Ok(Some((number, payload))) = tensor.next() {
        if let (8, Some(name)) = (number, payload) {
            return String::from_utf8_lossy(name).chars().take(200).collect();
        }
    }
    String::new()
}
