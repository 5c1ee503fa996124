"""fashion-resnet: a small residual network on Fashion-MNIST."""

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


class Block(nn.Module):
    """Two 3 x 3 convolutions beside an identity or a strided 1 x 1 convolution."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        same = inputs == outputs and stride == 1
        self.side = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x):
        return torch.relu(self.body(x) + self.side(x))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, 1, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            Block(16, 16, 1),
            Block(16, 32, 2),
            Block(32, 32, 1),
        )
        self.classify = nn.Linear(32, 10)

    def forward(self, x):
        return torch.softmax(self.classify(self.features(x).mean((2, 3))), 1)


class LogLoss(nn.Module):
    """Negative log likelihood of probabilities."""

    def forward(self, probabilities, labels):
        return nn.functional.nll_loss(torch.log(probabilities.clamp_min(1e-9)), labels)


def augment(x):
    """Shift by up to one pixel; mirror every second batch."""
    dy, dx = np.random.randint(-1, 2, 2)
    x = torch.roll(x, (int(dy), int(dx)), (2, 3))
    return torch.flip(x, [3]) if np.random.rand() < 0.5 else x


def main():
    seed(1)
    x, y, x_test, y_test = fashion_mnist()
    net = Net()
    fit(
        net,
        x,
        y,
        epochs=6,
        batch=128,
        rate=4e-3,
        decay=1e-4,
        loss=LogLoss(),
        augment=augment,
    )
    outputs = predict(net, x_test)
    rng = np.random.default_rng(0)
    calibration = rng.permutation(len(x))[:200]
    test = rng.permutation(len(x_test))[:1000]
    card = {
        "version": "1.0.0",
        "task": "classify",
        "description": "Kind of garment in a small grey image (residual)",
        **FASHION_MNIST_CARD,
        "outputs": [
            {
                "name": "output",
                "shape": [10],
                "dtype": "f32",
                "meaning": "one probability per label (softmax)",
            }
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
