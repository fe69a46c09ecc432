"""The networks of `zoo` as a PyTorch user has them: torchvision's, and written by hand what it lacks."""

import functools
import importlib
import pathlib
import sys

import airbench_torch
import torch
from torch import library
from torch import nn


@functools.cache
def models():
    """torchvision's networks, imported when one is wanted."""
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError:
        # The operators are built for another variant of torch. Networks need none, only the import asks for two.
        models.operators = library.Library("torchvision", "DEF")  # lasts as long as this object
        for name in ("nms", "qnms"):
            models.operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return importlib.import_module("torchvision.models")


def davidnet(classes):
    """DavidNet, maxima after the activation."""

    class Residual(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.branch = nn.Sequential(unit(channels, channels), unit(channels, channels))

        def forward(self, x):
            return x + self.branch(x)

    class Scale(nn.Module):
        def forward(self, x):
            return x * 0.125

    def unit(channels, filters, pool=False):
        layers = [nn.Conv2d(channels, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()]
        return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pool else []))

    return nn.Sequential(
        unit(3, 64),
        unit(64, 128, pool=True),
        Residual(128),
        unit(128, 256, pool=True),
        unit(256, 512, pool=True),
        Residual(512),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(512, classes, bias=False),
        Scale(),
    )


def speednet(classes):
    """SpeedNet of airbench94."""
    return airbench_torch.SpeedNet(scale=1 / 9)


def resnet18_cifar(classes):
    """torchvision's ResNet18, with the stem for small images."""
    network = models().resnet18(num_classes=classes)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network


def resnet50(classes):
    """torchvision's ResNet50."""
    return models().resnet50(num_classes=classes)


def alexnet(classes):
    """torchvision's AlexNet."""
    return models().alexnet(num_classes=classes)


def bit_resnet50(classes):
    """BiT R50x1: a pre-activation ResNet with group normalisation and standardised convolutions."""

    class Convolution(nn.Conv2d):
        def forward(self, x):
            variance, mean = torch.var_mean(self.weight, (1, 2, 3), correction=0, keepdim=True)
            kernel = (self.weight - mean) * torch.rsqrt(variance + 1e-10)
            return nn.functional.conv2d(x, kernel, None, self.stride, self.padding)

    def convolution(channels, filters, size, stride=1):
        return Convolution(channels, filters, size, stride, size // 2, bias=False)

    def activation(channels):
        return nn.Sequential(nn.GroupNorm(32, channels), nn.ReLU())

    class Unit(nn.Module):
        def __init__(self, channels, filters, stride):
            super().__init__()
            self.first = activation(channels)
            self.shortcut = None
            if stride > 1 or channels != 4 * filters:
                self.shortcut = convolution(channels, 4 * filters, 1, stride)
            self.branch = nn.Sequential(
                convolution(channels, filters, 1),
                activation(filters),
                convolution(filters, filters, 3, stride),
                activation(filters),
                convolution(filters, 4 * filters, 1),
            )

        def forward(self, x):
            h = self.first(x)
            return self.branch(h) + (x if self.shortcut is None else self.shortcut(h))

    layers, channels = [convolution(3, 64, 7, 2), nn.ConstantPad2d(1, 0.0), nn.MaxPool2d(3, 2)], 64
    for stage, depth in enumerate((3, 4, 6, 3)):
        for number in range(depth):
            layers.append(Unit(channels, 64 * 2**stage, 2 if stage and not number else 1))
            channels = 256 * 2**stage
    return nn.Sequential(
        *layers, activation(channels), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)
    )


def retinanet(classes):
    """RetinaNet on a ResNet18, statistics frozen: the network that the tests hold against ours."""
    return _written_for_the_tests().RetinaNet(classes).train()


def retinanet_loss(boxes, labels, image_shape):
    """The loss of a RetinaNet's outputs, image by image as published; anchors are made once."""
    written = _written_for_the_tests()
    anchors = written.anchors_of(*image_shape).to(boxes.device)

    def loss(outputs):
        class_losses, box_losses, _ = written.losses(*outputs, boxes, labels, anchors)
        return class_losses.mean() + box_losses.mean()

    return loss


def _written_for_the_tests():
    tests = str(pathlib.Path(__file__).parents[1] / "tests")
    if tests not in sys.path:
        sys.path.append(tests)
    return importlib.import_module("torch_retinanet")
