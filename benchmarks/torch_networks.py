"""The networks of `zoo` as a PyTorch user has them: torchvision's, and written by hand what it lacks."""

import functools
import importlib

import airbench_torch
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
