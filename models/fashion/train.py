"""fashion: a depthwise separable network on Fashion-MNIST."""

import pathlib
import sys

import numpy as np
import torch
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from training import (  # noqa: E402
    FASHION_MNIST_CARD,
    accuracy,
    fashion_mnist,
    fit,
    predict,
    publish,
    seed,
)


def separable(inputs, outputs, stride=1):
    """A 3 x 3 depthwise convolution and a pointwise one, both with batch norm and ReLU6."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU6(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU6(),
            separable(16, 32),
            separable(32, 48, 2),
            separable(48, 64),
            separable(64, 96),
        )
        self.pool = nn.AvgPool2d(7)
        self.classify = nn.Linear(96, 10)

    def forward(self, x):
        return self.classify(torch.flatten(self.pool(self.features(x)), 1))


def augment(x):
    """Shift by up to one pixel; mirror every second batch."""
    dy, dx = np.random.randint(-1, 2, 2)
    x = torch.roll(x, (int(dy), int(dx)), (2, 3))
    return torch.flip(x, [3]) if np.random.rand() < 0.5 else x


def main():
    seed(1)
    x, y, x_test, y_test = fashion_mnist()
    net = Net()
    fit(net, x, y, epochs=14, batch=128, rate=4e-3, decay=1e-4, augment=augment)
    outputs = predict(net, x_test)
    rng = np.random.default_rng(0)
    calibration = rng.permutation(len(x))[:200]
    test = rng.permutation(len(x_test))[:1000]
    card = {
        "version": "1.0.0",
        "task": "classify",
        "description": "Kind of garment in a small grey image (depthwise separable)",
        **FASHION_MNIST_CARD,
        "outputs": [
            {"name": "output", "shape": [10], "dtype": "f32", "meaning": "one logit per label"}
        ],
        "metric": {
            "name": "accuracy",
            "float": accuracy(outputs[test], y_test[test]),
            "n": len(test),
        },
        "metric_full": {"float": accuracy(outputs, y_test), "n": len(y_test)},
    }
    publish(HERE, net, x[calibration], x_test[test], y_test[test], card)


if __name__ == "__main__":
    main()
