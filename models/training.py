"""What the training scripts share: seeds, the training loop, export, and the model card.

Runs on Debian's python3-torch 1.13 on one CPU thread with fixed seeds, so that training again on
the same kind of machine gives the same bytes.
"""

import gzip
import hashlib
import json
import os
import pathlib
import random

import numpy as np
import torch
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parent
RAW = pathlib.Path(os.environ.get("TINSMITH_RAW", ROOT / ".raw"))
"""Where `fetch.sh` puts the packages that the data comes in."""

FASHION_MNIST = pathlib.Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's dataset-fashion-mnist installs the IDX files."""

OPSET = 13


def seed(value):
    """Fix every source of randomness."""
    torch.set_num_threads(1)
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


def fit(net, x, y, *, epochs, batch, rate, decay, loss=None, augment=None):
    """Train `net` on arrays `x` and `y` with AdamW and a one-cycle schedule."""
    loss = loss or nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=decay)
    steps = epochs * -(-len(x) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    for epoch in range(epochs):
        net.train()
        total = 0.0
        order = torch.randperm(len(x))
        for start in range(0, len(x), batch):
            rows = order[start : start + batch]
            inputs = x[rows] if augment is None else augment(x[rows])
            value = loss(net(inputs), y[rows])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
            total += float(value) * len(rows)
        print(f"epoch {epoch + 1}/{epochs}: loss {total / len(x):.4f}", flush=True)
    net.eval()


def predict(net, x, batch=512):
    """The outputs of `net` for the array `x`."""
    net.eval()
    with torch.no_grad():
        parts = [net(torch.from_numpy(x[i : i + batch])) for i in range(0, len(x), batch)]
    return torch.cat(parts).numpy()


def accuracy(outputs, labels):
    """Share of rows whose arg-max is the label; the lowest index wins a tie."""
    return float((outputs.argmax(1) == labels).mean())


def roc_auc(labels, scores):
    """Area under the ROC curve, from ranks; ties count half."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    positive = int((labels == 1).sum())
    negative = len(labels) - positive
    rank_sum = ranks[labels == 1].sum()
    return float((rank_sum - positive * (positive + 1) / 2) / (positive * negative))


def read_idx(path):
    """An array from a gzip-compressed IDX file of bytes."""
    data = gzip.open(path).read()
    dims = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(data[3])]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(dims)


def fashion_mnist():
    """(x, y, x_test, y_test) of Fashion-MNIST: x is f32 [n, 1, 28, 28] in 0..1, y is i64."""

    def read(name):
        images = read_idx(FASHION_MNIST / f"{name}-images-idx3-ubyte.gz")
        labels = read_idx(FASHION_MNIST / f"{name}-labels-idx1-ubyte.gz")
        return (images.astype(np.float32) / 255.0)[:, None], labels.astype(np.int64)

    return *read("train"), *read("t10k")


FASHION_MNIST_CARD = {
    "inputs": [
        {
            "name": "input",
            "shape": [1, 28, 28],
            "dtype": "f32",
            "units": "grey level, 0 (black) to 1 (white)",
            "preprocessing": "28 x 28 grey image, light garment on black, pixel / 255",
        }
    ],
    "labels": [
        "t-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ],
    "data": {
        "name": "Fashion-MNIST",
        "source": "Debian package dataset-fashion-mnist 0.0~git20200523.55506a9-1",
        "licence": "MIT",
        "citation": "H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST: a Novel Image Dataset for "
        "Benchmarking Machine Learning Algorithms (2017)",
        "split": "the original 60,000 training and 10,000 test images; calibration: 200 training "
        "images; stored test set: 1,000 test images drawn at random",
    },
}
"""The parts of the card that the two Fashion-MNIST models share."""


def publish(folder, net, calibration, x, y, card):
    """Write model.onnx, calibration.npz, test.npz and card.json into `folder`."""
    folder = pathlib.Path(folder)
    shape = card["inputs"][0]["shape"]
    net.eval()
    torch.onnx.export(
        net,
        torch.zeros(1, *shape),
        str(folder / "model.onnx"),
        opset_version=OPSET,
        input_names=["input"],
        output_names=["output"],
        do_constant_folding=True,
    )
    np.savez_compressed(folder / "calibration.npz", x=calibration.astype(np.float32))
    np.savez_compressed(folder / "test.npz", x=x.astype(np.float32), y=y.astype(np.int64))
    parameters = sum(p.numel() for p in net.parameters())
    write_card(folder, card, parameters)


def write_card(folder, card, parameters):
    """Complete `card` with what can be counted and write it as card.json."""
    folder = pathlib.Path(folder)
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    head = {"schema": 1, "name": folder.name}
    tail = {
        "opset": OPSET,
        "parameters": parameters,
        "sha256": digest,
        "training": "train.py",
        "licence": "MIT OR Apache-2.0",
    }
    text = json.dumps({**head, **card, **tail}, indent=2, ensure_ascii=True)
    (folder / "card.json").write_text(text + "\n")
    print(text)
