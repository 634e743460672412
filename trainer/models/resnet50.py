"""ResNet-50 with torchvision's names, so that its weights fit; as the FER-2013 study tunes it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from trainer.models.face_input import FaceInput

SIZE_PX = 224
BLOCKS = (3, 4, 6, 3)
WIDTH = 64


class ResNet50(nn.Module):
    """Grey faces to logits.

    Input: (n, 1, height, width) grey levels 0-255 by BT.601, uint8 or float. Output: (n, n_labels)
    logits. With 7 labels 23,522,375 parameters.

    Sources: He et al. 2016, arXiv 1512.03385, with the stride in the 3x3 convolution as torchvision
    has it ("v1.5"): its state dicts fit by name and shape. In "Enhancing Facial Emotion Recognition
    using CNNs, Transfer Learning, and Attention Mechanisms" it starts from ImageNet, the last layer
    replaced, all layers trained on 224x224 grey faces copied to three channels, values 0 to 1. From
    us: with weights from ImageNet the input is also normalised by ImageNet's mean and deviation,
    as those weights expect; from scratch it is 0 to 1 as in the paper.

    Args:
        n_labels: number of classes.
        imagenet: whether the weights come from ImageNet.
        size_px: side that faces are resized to.
        blocks: residual blocks of each stage.
        width: channels of the first stage's inner convolutions.
    """

    def __init__(
        self,
        n_labels: int,
        *,
        imagenet: bool = False,
        size_px: int = SIZE_PX,
        blocks: tuple[int, int, int, int] = BLOCKS,
        width: int = WIDTH,
    ) -> None:
        super().__init__()
        self.input = FaceInput(size_px, imagenet=imagenet)
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = _stage(width, width, blocks[0], stride=1)
        self.layer2 = _stage(4 * width, 2 * width, blocks[1], stride=2)
        self.layer3 = _stage(8 * width, 4 * width, blocks[2], stride=2)
        self.layer4 = _stage(16 * width, 8 * width, blocks[3], stride=2)
        self.channels = 32 * width
        self.fc: nn.Module = nn.Linear(self.channels, n_labels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @property
    def explain_layer(self) -> nn.Module:
        """The module whose output Grad-CAM reads."""
        return self.layer4

    def features(self, face: Tensor) -> Tensor:
        """Return the last stage's maps, (n, channels, size_px / 32, size_px / 32)."""
        maps = self.maxpool(functional.relu(self.bn1(self.conv1(self.input(face)))))
        deep: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(maps))))
        return deep

    def classify(self, maps: Tensor) -> Tensor:
        """Return what ``fc`` says of the maps' mean over places."""
        logits: Tensor = self.fc(maps.mean(dim=(2, 3)))
        return logits

    def forward(self, face: Tensor) -> Tensor:
        """Return logits."""
        return self.classify(self.features(face))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions around a shortcut.

    Args:
        before: channels in.
        width: channels of the 3x3 convolution; four times as many come out.
        stride: of the 3x3 convolution.
    """

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        after = 4 * width
        self.conv1 = nn.Conv2d(before, width, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, after, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(after)
        self.downsample: nn.Module | None = None
        if stride != 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(after),
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Return the next maps."""
        inner = functional.relu(self.bn1(self.conv1(maps)))
        inner = functional.relu(self.bn2(self.conv2(inner)))
        shortcut = maps if self.downsample is None else self.downsample(maps)
        return functional.relu(self.bn3(self.conv3(inner)) + shortcut)


def _stage(before: int, width: int, n_blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(before, width, stride)
    return nn.Sequential(first, *(Bottleneck(4 * width, width, 1) for _ in range(n_blocks - 1)))
