# A network for images with what torchvision's have: batch normalization, a sum around, adaptive pooling.
import numpy as np, torch
torch.manual_seed(2)

class Block(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = torch.nn.BatchNorm2d(channels)

    def forward(self, x):
        return torch.nn.functional.relu6(x + self.norm(self.conv(x)))

model = torch.nn.Sequential(
    torch.nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), torch.nn.BatchNorm2d(8), torch.nn.ReLU6(),
    Block(8), torch.nn.MaxPool2d(2), torch.nn.Conv2d(8, 8, 3, padding=1, groups=8), torch.nn.Hardtanh(-2, 2),
    torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(8, 4), torch.nn.Softmax(1))
x = torch.rand(32, 3, 16, 16)
model.train()
for _ in range(3):
    model(x)
model.eval()
torch.onnx.export(model, x[:1], "image.onnx", input_names=["input"], output_names=["output"])
np.savez("image.npz", x=x[:8].numpy(), y=model(x[:8]).detach().numpy().argmax(1))
