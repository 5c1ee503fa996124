//! The card of a model: what it is for, what goes in, what comes out, how good it is.

use serde::{Deserialize, Serialize};

use tinsmith_build_job::{Task, metric};

/// An input or output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// Name in the ONNX file.
    pub name: String,
    /// ONNX order, without the batch.
    pub shape: Vec<usize>,
    /// Everything else the card says: units, preprocessing, meaning.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

/// How good the float model is on the stored test set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// `accuracy`, `auc` or `rmse`.
    pub name: String,
    /// Its value.
    pub float: f64,
    /// Number of samples.
    pub n: usize,
}

/// `card.json`; models/README.md has every key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Name in the zoo.
    pub name: String,
    /// Version of the trained weights.
    pub version: String,
    /// What the output means.
    pub task: Task,
    /// One or two sentences.
    #[serde(default)]
    pub description: String,
    /// Inputs.
    pub inputs: Vec<Tensor>,
    /// Outputs.
    #[serde(default)]
    pub outputs: Vec<Tensor>,
    /// Class names in the order of the output.
    #[serde(default)]
    pub labels: Vec<String>,
    /// How good the float model is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// SHA-256 of the ONNX file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Everything else: data, licences, training.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

/// What is wrong with a card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// Not JSON, or a key is missing or of the wrong type.
    #[error("{0}")]
    Json(String),
    /// The name can't be used in paths and commands, or does not fit /27303/x/0.
    #[error("name '{0}': use 1 to 64 of a-z, 0-9, '-', '_' and '.'")]
    Name(String),
    /// Does not fit /27303/x/1.
    #[error("version '{0}' must have 1 to 32 characters")]
    Version(String),
    /// What a terminal would obey.
    #[error("control character in {0}")]
    Control(&'static str),
    /// Only models with one input and one output can be run on a device now.
    #[error("{0} inputs: expected 1")]
    Inputs(usize),
}

impl Card {
    /// Reads and checks a card.
    pub fn parse(json: &[u8]) -> Result<Self, CardError> {
        let card: Self =
            serde_json::from_slice(json).map_err(|e| CardError::Json(e.to_string()))?;
        card.check()?;
        Ok(card)
    }

    /// Checks what types can't say.
    pub fn check(&self) -> Result<(), CardError> {
        let ok = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_.".contains(&c);
        if self.name.is_empty() || self.name.len() > 64 || !self.name.bytes().all(ok) {
            return Err(CardError::Name(self.name.chars().take(80).collect()));
        }
        if self.version.is_empty() || self.version.len() > 32 {
            return Err(CardError::Version(self.version.chars().take(80).collect()));
        }
        let control = |text: &String| text.chars().any(char::is_control);
        let names = self.inputs.iter().chain(&self.outputs).map(|t| &t.name);
        for (what, found) in [
            ("the version", control(&self.version)),
            ("a label", self.labels.iter().any(control)),
            ("the name of a tensor", names.into_iter().any(control)),
        ] {
            if found {
                return Err(CardError::Control(what));
            }
        }
        if self.inputs.len() != 1 {
            return Err(CardError::Inputs(self.inputs.len()));
        }
        Ok(())
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The metric that fits the task.
    pub fn metric_name(&self) -> &str {
        match &self.metric {
            Some(metric) => &metric.name,
            None => metric::name(self.task),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = r#"{"name":"m","version":"1","task":"classify",
        "inputs":[{"name":"input","shape":[3],"units":"g"}],"labels":["a","b"],"licence":"MIT"}"#;

    #[test]
    fn keeps_what_it_does_not_know() {
        let card = Card::parse(CARD.as_bytes()).unwrap();
        assert_eq!(card.inputs[0].more["units"], "g");
        assert_eq!(Card::parse(card.to_json().as_bytes()).unwrap(), card);
        assert_eq!(card.metric_name(), "accuracy");
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = |from: &str, to: &str| {
            Card::parse(CARD.replace(from, to).as_bytes())
                .unwrap_err()
                .to_string()
        };
        assert!(wrong("\"m\"", "\"M m\"").contains("'M m'"));
        assert!(wrong("classify", "dream").contains("dream"));
        assert!(wrong("\"version\":\"1\",", "").contains("version"));
        assert!(wrong("\"a\"", "\"a\\u001b[2K\"").contains("a label"));
        assert!(wrong("\"1\"", "\"1\\n\"").contains("the version"));
        assert!(wrong("\"input\"", "\"in\\u009bput\"").contains("a tensor"));
    }
}
