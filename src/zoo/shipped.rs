//! The models in `models/`, inside the program so that it needs nothing beside it.

use std::sync::Arc;

use super::{Card, Model};
use crate::digest::Digest;

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        [$((
            $name,
            include_bytes!(concat!("../../models/", $name, "/card.json")).as_slice(),
            include_bytes!(concat!("../../models/", $name, "/model.onnx")).as_slice(),
            include_bytes!(concat!("../../models/", $name, "/calibration.npz")).as_slice(),
            include_bytes!(concat!("../../models/", $name, "/test.npz")).as_slice(),
        )),*]
    };
}

/// The shipped models.
pub(super) fn models() -> Vec<Model> {
    shipped!["fashion", "fashion-resnet", "maintenance", "motion"]
        .into_iter()
        .filter_map(|(name, card, onnx, calibration, test)| {
            let card = Card::parse(card)
                .inspect_err(|error| tracing::error!(name, %error, "bug: a shipped card"))
                .ok()?;
            Some(Model {
                card,
                source: Digest::of(onnx),
                shipped: true,
                onnx: Arc::from(onnx),
                calibration: Arc::from(calibration),
                test: Some(Arc::from(test)),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_card_parses_and_names_its_file() {
        let models = models();
        assert_eq!(models.len(), 4);
        for model in models {
            assert_eq!(
                model.card.sha256.as_deref(),
                Some(model.source.to_string().as_str())
            );
        }
    }
}
