"""maintenance: an autoencoder that learns the healthy turbofan from NASA's C-MAPSS FD001.

The anomaly score of a window is the mean squared error of its reconstruction.
"""

import io
import pathlib
import sys
import zipfile

import numpy as np
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from training import RAW, fit, predict, publish, roc_auc, seed  # noqa: E402

WHEEL = "Industrial_time_series_analysis-2.2.3-py3-none-any.whl"
FOLDER = "Industrial_time_series_analysis/Decide/decide_utils/il_std_util/data/"
SENSORS = [2, 3, 4, 7, 8, 9, 11, 12, 13, 14, 15, 17, 20, 21]
"""The sensors (1-based, as in the data's own description) that are not constant."""

WINDOW = 10
HEALTHY = 130
"""A window with more cycles than this before failure is healthy."""

FAILING = 20
"""A window with fewer cycles than this before failure is anomalous."""

TRAINED = 70
"""Engines 1 to 70 are trained on, 71 to 100 are held out."""


def read(name):
    """One table of the data set: unit, cycle, 3 settings, 21 sensors."""
    with zipfile.ZipFile(RAW / WHEEL) as wheel:
        return np.loadtxt(io.BytesIO(wheel.read(FOLDER + name)))


def windows(table, mean, std):
    """Healthy training windows, held-out windows and their labels."""
    healthy, held_out, labels = [], [], []
    for engine in np.unique(table[:, 0]):
        rows = table[table[:, 0] == engine][:, [4 + s for s in SENSORS]]
        rows = ((rows - mean) / std).astype(np.float32)
        for end in range(WINDOW, len(rows) + 1):
            left = len(rows) - end
            window = rows[end - WINDOW : end].reshape(-1)
            if engine <= TRAINED:
                if left > HEALTHY:
                    healthy.append(window)
            elif left > HEALTHY or left < FAILING:
                held_out.append(window)
                labels.append(int(left < FAILING))
    return np.stack(healthy), np.stack(held_out), np.array(labels)


class Net(nn.Module):
    def __init__(self):
        super().__init__()

        def layer(inputs, outputs):
            return [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]

        self.net = nn.Sequential(
            *layer(140, 64),
            *layer(64, 64),
            *layer(64, 8),
            *layer(8, 64),
            *layer(64, 64),
            nn.Linear(64, 140),
        )

    def forward(self, x):
        return self.net(x)


def main():
    table = read("train_FD001.txt")
    raw = table[:, [4 + s for s in SENSORS]]
    mean, std = raw.mean(0), raw.std(0)
    healthy, held_out, labels = windows(table, mean, std)
    rng = np.random.default_rng(0)
    seed(1)
    net = Net()
    fit(
        net,
        healthy,
        healthy,
        epochs=40,
        batch=64,
        rate=3e-3,
        decay=1e-4,
        loss=nn.MSELoss(),
    )
    scores = ((predict(net, held_out) - held_out) ** 2).mean(1)
    test = rng.permutation(len(held_out))[:1200]
    calibration = rng.permutation(len(healthy))[:300]
    card = {
        "version": "1.0.0",
        "task": "reconstruct",
        "description": "Anomaly score of a turbofan engine from 14 sensors (autoencoder)",
        "inputs": [
            {
                "name": "input",
                "shape": [140],
                "dtype": "f32",
                "units": "standard deviations",
                "preprocessing": "10 consecutive cycles x 14 sensors (cycle-major; sensors "
                + ", ".join(str(s) for s in SENSORS)
                + "), each (value - mean) / std",
                "mean": [float(v) for v in mean],
                "std": [float(v) for v in std],
            }
        ],
        "outputs": [
            {
                "name": "output",
                "shape": [140],
                "dtype": "f32",
                "meaning": "the input as reconstructed; the score is the mean squared difference",
            }
        ],
        "labels": ["healthy", "failing"],
        "metric": {"name": "auc", "float": roc_auc(labels[test], scores[test]), "n": len(test)},
        "metric_full": {"float": roc_auc(labels, scores), "n": len(labels)},
        "data": {
            "name": "NASA C-MAPSS FD001 (simulated turbofan run to failure)",
            "source": "PyPI package Industrial-time-series-analysis 2.2.3",
            "licence": "US government work, public domain",
            "citation": "A. Saxena, K. Goebel: Turbofan Engine Degradation Simulation Data Set, "
            "NASA Ames Prognostics Data Repository (2008)",
            "split": f"healthy: more than {HEALTHY} cycles before failure; failing: the last "
            f"{FAILING}; "
            "engines 1 to 70 trained on and calibrated with (300 healthy windows); "
            "engines 71 to 100 held out, of which 1,200 windows drawn at random are stored",
        },
    }
    publish(HERE, net, healthy[calibration], held_out[test], labels[test], card)


if __name__ == "__main__":
    main()
