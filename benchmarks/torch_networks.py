"""The networks of `zoo` as a PyTorch user has them: torchvision's, and written by hand what it lacks."""

import airbench_torch
import torchvision
from torch import nn


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
    network = torchvision.models.resnet18(num_classes=classes)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network


def resnet50(classes):
    """torchvision's ResNet50."""
    return torchvision.models.resnet50(num_classes=classes)


def alexnet(classes):
    """torchvision's AlexNet."""
    return torchvision.models.alexnet(num_classes=classes)
