"""RetinaNet written in torch from its description: network, anchors, coding and loss, image by image as published.

It shares nothing with the package. Modules are named as in pytorch-retinanet.
"""

import math

import torch
from torch import nn

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
LEVELS = (3, 4, 5, 6, 7)
STD = (0.1, 0.1, 0.2, 0.2)


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x):
        branch = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(branch + (x if self.downsample is None else self.downsample(x)))


class Pyramid(nn.Module):
    """P3 to P7 of C3 to C5."""

    def __init__(self, inputs, channels):
        super().__init__()
        for level, count in zip((3, 4, 5), inputs):
            setattr(self, f"P{level}_1", nn.Conv2d(count, channels, 1))
            setattr(self, f"P{level}_2", nn.Conv2d(channels, channels, 3, padding=1))
        self.P6 = nn.Conv2d(inputs[-1], channels, 3, 2, 1)
        self.P7_2 = nn.Conv2d(channels, channels, 3, 2, 1)

    def forward(self, c3, c4, c5):
        merged5 = self.P5_1(c5)
        merged4 = self.P4_1(c4) + nn.functional.interpolate(merged5, c4.shape[2:], mode="nearest")
        merged3 = self.P3_1(c3) + nn.functional.interpolate(merged4, c3.shape[2:], mode="nearest")
        sixth = self.P6(c5)
        return self.P3_2(merged3), self.P4_2(merged4), self.P5_2(merged5), sixth, self.P7_2(torch.relu(sixth))


class Head(nn.Module):
    """Four convolutions and the last, whose numbers are listed anchor by anchor."""

    def __init__(self, channels, values, anchors=9):
        super().__init__()
        self.values = values
        for number in range(1, 5):
            setattr(self, f"conv{number}", nn.Conv2d(channels, channels, 3, padding=1))
        self.output = nn.Conv2d(channels, anchors * values, 3, padding=1)

    def forward(self, x):
        for number in range(1, 5):
            x = torch.relu(getattr(self, f"conv{number}")(x))
        return self.output(x).permute(0, 2, 3, 1).reshape(len(x), -1, self.values)


class RetinaNet(nn.Module):
    """Images `(batch, 3, height, width)` to regressions and logits of all anchors; statistics stand still."""

    def __init__(self, classes, depth=18, channels=256):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for stage, count in enumerate(DEPTHS[depth], start=1):
            outputs = 64 * 2 ** (stage - 1)
            blocks = []
            for number in range(count):
                blocks.append(Block(inputs, outputs, 2 if stage > 1 and number == 0 else 1))
                inputs = outputs
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fpn = Pyramid((128, 256, 512), channels)
        self.regressionModel = Head(channels, 4)
        self.classificationModel = Head(channels, classes)

    def train(self, mode=True):
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, images):
        x = torch.relu(self.bn1(self.conv1(images)))
        x = self.layer1(nn.functional.max_pool2d(x, 3, 2, 1))
        c3 = self.layer2(x)
        c4 = self.layer3(c3)
        levels = self.fpn(c3, c4, self.layer4(c4))
        return tuple(
            torch.cat([head(level) for level in levels], 1).float()
            for head in (self.regressionModel, self.classificationModel)
        )


def anchors_of(height, width):
    """Nine anchors a cell, by the formula: `(anchors, 4)` of left, top, right, bottom."""
    boxes = []
    for level in LEVELS:
        stride, size = 2**level, 2 ** (level + 2)
        cell = []
        for ratio in (0.5, 1.0, 2.0):
            for scale in (1.0, 2 ** (1 / 3), 2 ** (2 / 3)):
                w = math.sqrt((size * scale) ** 2 / ratio)
                cell.append((-w / 2, -w * ratio / 2, w / 2, w * ratio / 2))
        y = (torch.arange(math.ceil(height / stride), dtype=torch.float64) + 0.5) * stride
        x = (torch.arange(math.ceil(width / stride), dtype=torch.float64) + 0.5) * stride
        centres = torch.stack([x.repeat(len(y)), y.repeat_interleave(len(x))], 1).repeat(1, 2)
        boxes.append((centres[:, None] + torch.tensor(cell, dtype=torch.float64)).reshape(-1, 4))
    return torch.cat(boxes).float()


def centre(boxes):
    """Centres and sizes of boxes."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]


def decode(regressions, anchors):
    """Boxes of one image."""
    place, size = centre(anchors)
    std = anchors.new_tensor(STD)
    middle = place + regressions[:, :2] * std[:2] * size
    size = torch.exp(regressions[:, 2:] * std[2:]) * size
    return torch.cat([middle - size / 2, middle + size / 2], 1)


def overlaps(anchors, boxes):
    """Intersection over union, `(anchors, boxes)`."""
    low = torch.maximum(anchors[:, None, :2], boxes[:, :2])
    high = torch.minimum(anchors[:, None, 2:], boxes[:, 2:])
    shared = (high - low).clamp(min=0).prod(2)
    areas = [each[:, 2:].sub(each[:, :2]).prod(1) for each in (anchors, boxes)]
    return shared / (areas[0][:, None] + areas[1] - shared).clamp(min=1e-8)


def losses(regressions, logits, boxes, labels, anchors, alpha=0.25, gamma=2.0):
    """Class and box loss of a batch, and the positive anchors of each image; rows of label -1 are no objects."""
    class_losses, box_losses, counts = [], [], []
    for sample in range(len(logits)):
        real = labels[sample] >= 0
        objects, kinds = boxes[sample][real], labels[sample][real]
        probabilities = torch.sigmoid(logits[sample]).clamp(1e-4, 1 - 1e-4)
        targets = torch.zeros_like(probabilities)
        used = torch.ones_like(anchors[:, 0], dtype=torch.bool)
        positive = torch.zeros_like(used)
        if len(objects):
            most, nearest = overlaps(anchors, objects).max(1)
            positive = most >= 0.5
            used = positive | (most < 0.4)
            targets[positive, kinds[nearest[positive]]] = 1
        right = torch.where(targets == 1, probabilities, 1 - probabilities)
        weights = torch.where(targets == 1, alpha, 1 - alpha) * (1 - right) ** gamma
        counts.append(int(positive.sum()))
        class_losses.append((weights * -torch.log(right))[used].sum() / max(counts[-1], 1))
        if not counts[-1]:
            box_losses.append(regressions.sum() * 0)
            continue
        middle, size = centre(objects[nearest[positive]])
        place, side = centre(anchors[positive])
        wanted = torch.cat([(middle - place) / side, torch.log(size.clamp(min=1) / side)], 1) / boxes.new_tensor(STD)
        distance = (regressions[sample][positive] - wanted).abs()
        box_losses.append(torch.where(distance <= 1 / 9, 4.5 * distance**2, distance - 1 / 18).mean())
    return torch.stack(class_losses), torch.stack(box_losses), counts
