"""Runs every shipped model with onnxruntime and compares with its card."""

import hashlib
import json
import pathlib
import sys

import numpy as np
import onnxruntime

ROOT = pathlib.Path(__file__).resolve().parent


def roc_auc(labels, scores):
    """Area under the ROC curve by counting pairs; ties count half."""
    high, low = scores[labels == 1], scores[labels == 0]
    return float(np.mean((high[:, None] > low) + 0.5 * (high[:, None] == low)))


def measure(metric, outputs, x, y):
    """The card's metric for the outputs of samples `x` with labels `y`."""
    if metric == "accuracy":
        return float((outputs.argmax(1) == y).mean())
    if metric == "auc":
        return roc_auc(y, ((outputs - x) ** 2).mean(1))
    return float(np.sqrt(((outputs.reshape(len(y)) - y) ** 2).mean()))


def check(folder):
    """What is wrong with one model: empty if nothing is."""
    card = json.loads((folder / "card.json").read_text())
    model = folder / "model.onnx"
    calibration = np.load(folder / "calibration.npz")["x"]
    test = np.load(folder / "test.npz")
    x, y = test["x"], test["y"]
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    outputs = np.concatenate([session.run(None, {"input": row[None]})[0] for row in x])
    value = measure(card["metric"]["name"], outputs, x, y)
    print(f"{folder.name}: {card['metric']['name']} {value:.4f} over {len(x)} samples")
    shape = tuple(card["inputs"][0]["shape"])
    checks = {
        "name": card["name"] == folder.name,
        "sha256": card["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest(),
        "input shape": x.shape[1:] == calibration.shape[1:] == shape,
        "input dtype": x.dtype == calibration.dtype == np.float32,
        "label dtype": y.dtype == np.int64,
        "output shape": list(outputs.shape[1:]) == card["outputs"][0]["shape"],
        "samples": card["metric"]["n"] == len(x) == len(y),
        "metric": abs(value - card["metric"]["float"]) < 1e-4,
    }
    return [name for name, good in checks.items() if not good]


def main():
    bad = 0
    for card in sorted(ROOT.glob("*/card.json")):
        for fault in check(card.parent):
            print(f"{card.parent.name}: {fault} does not match the card")
            bad += 1
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
