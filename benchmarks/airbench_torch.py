"""The airbench algorithm (airbench94_muon) in PyTorch, on a CPU or a GPU: the peer of `recipes/cifar10_speedrun.py`.

    python benchmarks/airbench_torch.py --data-dir cifar-10-batches-py --seed 0 --output airbench.json

Written from the description of the algorithm, for the device that there is: the published script asks for
CUDA. The network computes in float16 on a GPU, as published, and in bfloat16 on a CPU, which has no fast float16;
batch normalisation in float32. Weights are kept in float32, so that bfloat16 does not swallow small updates: 2 million
of them cost no time.

Reference:
    - [airbench](https://github.com/KellerJordan/cifar10-airbench)
    - [94% on CIFAR-10 in 3.29 Seconds on a Single GPU](https://arxiv.org/abs/2404.00498)
"""
# ruff: noqa: E402

import time

_START = time.perf_counter()  # before PyTorch is imported

import argparse
import json
import math
import pathlib
import pickle
import platform

import numpy as np
import torch
from torch import nn
from torch.nn import functional

_MEAN, _STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
_BATCH_SIZE, _LABEL_SMOOTHING, _TRANSLATE = 2000, 0.2, 2
_BIAS_LR, _HEAD_LR, _DECAY, _SGD_MOMENTUM = 0.053, 0.67, 4e-3, 0.85  # for a loss that is summed over the batch
_KERNEL_LR, _KERNEL_MOMENTUM = 0.24, 0.6
_WHITENING_IMAGES, _WHITENING_EPSILON, _WHITENING_BIAS_EPOCHS = 5000, 5e-4, 3
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Convolution(nn.Conv2d):
    """A convolution that computes in the dtype of its input, whatever its weights are kept in."""

    def forward(self, x):
        """Convolve."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return functional.conv2d(x, self.weight.to(x.dtype), bias, self.stride, self.padding)


class Group(nn.Module):
    """Convolution, maximum, normalisation, GELU; convolution, normalisation, GELU.

    Args:
        channels: int. Of the input.
        filters: int. Of the output.
    """

    def __init__(self, channels, filters):
        super().__init__()
        self.first = Convolution(channels, filters, 3, padding=1, bias=False)
        self.first_norm = _norm(filters)
        self.second = Convolution(filters, filters, 3, padding=1, bias=False)
        self.second_norm = _norm(filters)
        for layer in (self.first, self.second):
            nn.init.dirac_(layer.weight.data[: layer.in_channels])

    def forward(self, x):
        """Halve the size and change the number of channels."""
        x = functional.gelu(self.first_norm(functional.max_pool2d(self.first(x), 2)))
        return functional.gelu(self.second_norm(self.second(x)))


class SpeedNet(nn.Module):
    """The network of airbench.

    Args:
        widths: tuple of int. Filters of the groups.
        scale: float. What the logits are multiplied by.
    """

    def __init__(self, widths=(64, 256, 256), scale=1 / 256):
        super().__init__()
        self.whiten = Convolution(3, 24, 2)
        self.whiten.weight.requires_grad_(False)
        self.groups = nn.Sequential(*(Group(*pair) for pair in zip((24, *widths), widths)))
        self.head = nn.Linear(widths[-1], 10, bias=False)
        self.head.weight.data /= self.head.weight.data.std()
        self.scale = scale

    def forward(self, x):
        """Logits of normalised images."""
        x = functional.max_pool2d(self.groups(functional.gelu(self.whiten(x))), 3).flatten(1)
        return functional.linear(x, self.head.weight.to(x.dtype)) * self.scale

    def init_whitening(self, images):
        """Set the first layer to what decorrelates the patches of these images, and its negative.

        Args:
            images: tensor `(images, 3, height, width)`, normalised.
        """
        patches = functional.unfold(images.float(), 2).movedim(1, -1).flatten(0, 1)
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (vectors / torch.sqrt(values + _WHITENING_EPSILON)).T.reshape(-1, 3, 2, 2)
        self.whiten.weight.data.copy_(torch.cat([filters, -filters]))


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal, on kernels of constant norm.

    Args:
        parameters: kernels of convolutions.
        lr: float.
        momentum: float. Of Nesterov's form.
    """

    def __init__(self, parameters, lr, momentum):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        """Update all kernels."""
        for group in self.param_groups:
            for kernel in group["params"]:
                buffer = self.state[kernel].setdefault("momentum", torch.zeros_like(kernel))
                buffer.mul_(group["momentum"]).add_(kernel.grad)
                update = orthogonalize(kernel.grad.add(buffer, alpha=group["momentum"]).flatten(1))
                kernel.mul_(math.sqrt(len(kernel)) / kernel.norm())
                kernel.add_(update.view_as(kernel), alpha=-group["lr"])


def orthogonalize(matrix, steps=3):
    """Bring the singular values of a matrix near 1, by Newton-Schulz iterations in bfloat16.

    Args:
        matrix: tensor of two axes.
        steps: int.

    Returns:
        tensor of the same shape, bfloat16.
    """
    a, b, c = _NEWTON_SCHULZ
    x = (matrix / (matrix.norm() + 1e-7)).bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Loader:
    """Batches of an epoch: translated by up to 2 pixels, and each image mirrored in every second epoch.

    Args:
        images: tensor `(images, 3, 32, 32)`, normalised.
        labels: tensor of class numbers.
        memory_format: of the batches.
    """

    def __init__(self, images, labels, memory_format):
        mirrored = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
        images = torch.where(mirrored, images.flip(-1), images)
        self._padded = functional.pad(images, (_TRANSLATE,) * 4, mode="reflect").contiguous(memory_format=memory_format)
        self._labels, self._memory_format, self._epoch = labels, memory_format, 0

    def __len__(self):
        return len(self._labels) // _BATCH_SIZE

    def __iter__(self):
        device = self._labels.device
        order = torch.randperm(len(self._labels), device=device)
        offsets = torch.randint(0, 2 * _TRANSLATE + 1, (2, len(order)), device=device)
        mirror = self._epoch % 2 == 1
        self._epoch += 1
        for step in range(len(self)):
            chosen = order[step * _BATCH_SIZE : (step + 1) * _BATCH_SIZE]
            images = self._crop(chosen, *offsets[:, chosen])
            yield (images.flip(-1) if mirror else images), self._labels[chosen]

    def _crop(self, chosen, tops, lefts):
        size = self._padded.shape[-1] - 2 * _TRANSLATE
        images = torch.empty(
            (len(chosen), 3, size, size),
            dtype=self._padded.dtype,
            device=chosen.device,
            memory_format=self._memory_format,
        )
        for top in range(2 * _TRANSLATE + 1):
            for left in range(2 * _TRANSLATE + 1):
                here = (tops == top) & (lefts == left)
                images[here] = self._padded[chosen[here], :, top : top + size, left : left + size]
        return images


def read(folder, names):
    """Read batches of CIFAR-10.

    Args:
        folder: pathlib.Path of "cifar-10-batches-py".
        names: list of str. Its files.

    Returns:
        `(images, labels)`: uint8 tensor `(images, 3, 32, 32)` and int64 tensor.
    """
    batches = []
    for name in names:
        with (folder / name).open("rb") as file:
            batches.append(pickle.load(file, encoding="bytes"))
    images = np.concatenate([batch[b"data"] for batch in batches]).reshape(-1, 3, 32, 32)
    return torch.from_numpy(images), torch.tensor([label for batch in batches for label in batch[b"labels"]])


def normalize(images, device, dtype, memory_format):
    """Bring pixels to mean 0 and standard deviation 1, on the device.

    Args:
        images: uint8 tensor.
        device: str.
        dtype: torch.dtype.
        memory_format: torch.memory_format.

    Returns:
        tensor of the same shape.
    """
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (_MEAN, _STD))
    return ((images.to(device) / 255 - mean) / std).to(dtype).contiguous(memory_format=memory_format)


def make_optimizers(network):
    """SGD for biases and the head, Muon for the kernels, as published.

    Args:
        network: `SpeedNet`.

    Returns:
        list of `torch.optim.Optimizer`. The first group of the first is the whitening bias.
    """
    biases = [layer.bias for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    groups = [([network.whiten.bias], _BIAS_LR), (biases, _BIAS_LR), ([network.head.weight], _HEAD_LR)]
    kernels = [weight for weight in network.groups.parameters() if weight.ndim == 4]
    return [
        torch.optim.SGD(
            [{"params": weights, "lr": lr, "weight_decay": _DECAY / lr} for weights, lr in groups],
            momentum=_SGD_MOMENTUM,
            nesterov=True,
        ),
        Muon(kernels, _KERNEL_LR, _KERNEL_MOMENTUM),
    ]


def train(network, forward, loader, epochs, limit_steps):
    """Train, and print each epoch.

    Args:
        network: `SpeedNet`.
        forward: the same, or the compiled network.
        loader: `Loader`.
        epochs: float. The learning rates reach 0 at their end.
        limit_steps: int, or None. Stop after so many.

    Returns:
        list of dicts: loss and seconds of each epoch.
    """
    optimizers, history, step = make_optimizers(network), [], 0
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    peaks = [group["lr"] for group in groups]
    total, whitening = math.ceil(epochs * len(loader)), _WHITENING_BIAS_EPOCHS * len(loader)
    last = min(total, limit_steps or total)
    network.train()
    while step < last:
        losses, start = [], time.perf_counter()
        for images, labels in loader:
            for group, peak in zip(groups, peaks):
                group["lr"] = peak * (1 - step / total)
            groups[0]["lr"] = peaks[0] * max(0, 1 - step / whitening)
            network.whiten.bias.requires_grad_(step < whitening)
            logits = forward(images).float()
            loss = functional.cross_entropy(logits, labels, label_smoothing=_LABEL_SMOOTHING, reduction="sum")
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            losses.append(loss.detach() / len(labels))
            step += 1
            if step == last:
                break
        history.append({"loss": torch.stack(losses).mean().item(), "seconds": time.perf_counter() - start})
        print(f"epoch {len(history)}: loss {history[-1]['loss']:.4f}, {history[-1]['seconds']:.2f} s", flush=True)
    return history


@torch.inference_mode()
def evaluate(network, images, labels):
    """Accuracy by one view of each image, and by six: three translations, each with its mirror image.

    Args:
        network: `SpeedNet`.
        images: tensor `(images, 3, height, width)`, normalised.
        labels: tensor of class numbers.

    Returns:
        `(plain, augmented)`: floats.
    """
    network.eval()
    right = torch.zeros(2, device=labels.device)
    size = images.shape[-1]
    layout = torch.channels_last if images.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    for batch, truth in zip(images.split(_BATCH_SIZE), labels.split(_BATCH_SIZE)):
        padded = functional.pad(batch, (1, 1, 1, 1), mode="reflect")
        shifted = [padded[..., :size, :size], padded[..., 2:, 2:]]
        views = [view.flip(-1) if mirror else view for view in (batch, *shifted) for mirror in (False, True)]
        plain, *others = [network(view.contiguous(memory_format=layout)) for view in views]
        augmented = (plain + others[0]) / 4 + sum(others[1:]) / 8
        right += torch.stack([(logits.argmax(1) == truth).sum() for logits in (plain, augmented)])
    return tuple((right / len(labels)).tolist())


def describe(device):
    """The name of the device.

    Args:
        device: str.

    Returns:
        str.
    """
    if device == "cuda":
        return torch.cuda.get_device_name()
    model = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model} ({torch.get_num_threads()} threads)"


def run(options):
    """Prepare the data, train, evaluate.

    Args:
        options: what the parser returned.

    Returns:
        dict. The record.
    """
    start = time.perf_counter()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.float16 if device == "cuda" else torch.bfloat16
    memory_format = torch.channels_last if options.channels_last else torch.contiguous_format
    torch.manual_seed(options.seed)
    torch.backends.cudnn.benchmark = True
    folder = options.data_dir
    train_images, train_labels = read(folder, [f"data_batch_{number}" for number in range(1, 6)])
    test_images, test_labels = read(folder, ["test_batch"])
    train_images = normalize(train_images, device, dtype, memory_format)
    test_images = normalize(test_images, device, dtype, memory_format)
    train_labels, test_labels = train_labels.to(device), test_labels.to(device)
    network = SpeedNet().to(device, memory_format=memory_format)
    parameters = sum(weight.numel() for weight in network.parameters() if weight.requires_grad or weight.ndim == 4)
    network.init_whitening(train_images[:_WHITENING_IMAGES])
    loader = Loader(train_images, train_labels, memory_format)
    forward = torch.compile(network) if options.compile else network
    history = train(network, forward, loader, options.epochs, options.limit_steps)
    plain, augmented = evaluate(forward, test_images, test_labels)
    end = time.perf_counter()
    return {
        "benchmark": "airbench_torch",
        "device": describe(device),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "settings": {
            "seed": options.seed,
            "epochs": options.epochs,
            "limit_steps": options.limit_steps,
            "dtype": str(dtype).removeprefix("torch."),
            "channels_last": options.channels_last,
            "compile": options.compile,
        },
        "parameters": parameters,
        "history": history,
        "accuracy": plain,
        "accuracy_tta": augmented,
        "training_seconds": sum(epoch["seconds"] for epoch in history),
        "seconds": end - start,
        "process_seconds": end - _START,
    }


def main():
    """Train once, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data-dir", type=pathlib.Path, required=True, help='the folder "cifar-10-batches-py"')
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--epochs", type=float, default=8, help="(default: %(default)s)")
    parser.add_argument("--limit-steps", type=int, help="stop after so many steps")
    parser.add_argument(
        "--channels-last", action=argparse.BooleanOptionalAction, default=True, help="memory layout (default: yes)"
    )
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file to write")
    options = parser.parse_args()
    record = run(options)
    print(f"accuracy {record['accuracy_tta']:.4f} with test-time augmentation, {record['accuracy']:.4f} without")
    print(f"{record['seconds']:.1f} s; with the imports {record['process_seconds']:.1f} s")
    if options.output:
        options.output.write_text(json.dumps(record, indent=2) + "\n")


def _norm(channels):
    norm = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)  # 0.6 as Keras counts
    norm.weight.requires_grad_(False)
    return norm


if __name__ == "__main__":
    main()
