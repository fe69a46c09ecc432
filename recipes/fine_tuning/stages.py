"""The stages of a network, whatever it is called by: what can be frozen, from the images upwards."""

import collections
import itertools
import typing

import keras

RESCALED = "rescale_out"  # the layer behind which a network begins that has a rescaling in front
HEAD = "head_"  # how the names of the layers of a new head begin, but for the last
CLASSIFIER = "predictions"


class Stage(typing.NamedTuple):
    """Layers between two places through which everything passes.

    Args:
        layers: list of layers, in the order in which they compute.
        input: the Keras tensor that they begin with.
        output: the one that they end in.

    Example:

    >>> images = keras.Input((8, 8, 3))
    >>> Stage([], images, images).input.shape
    (None, 8, 8, 3)
    """

    layers: list
    input: object
    output: object


def stages_of(model):
    """The stages of a network, from the images upwards; the head is none of them.

    A stage ends where the resolution is about to fall, at the last layer through which everything passes: what
    is above needs nothing but its output. So it is found in networks of any names. Of a ResNet with the stem
    "imagenet" they are the stem and conv2 to conv5; of one with the stem "cifar", whose stem and conv2 have one
    resolution, four.

    The head begins at the layers of `replace_head`, or at the last dense layer.

    Args:
        model: a functional or sequential `keras.Model` of images of a known size.

    Returns:
        list of `Stage`, at least one.

    Raises:
        ValueError: for a model that is not made of layers, has several inputs, or no known size.

    Example:

    >>> import zoo
    >>> stages = stages_of(zoo.ResNet18(input_shape=(64, 64, 3)))
    >>> [stage.layers[-1].name for stage in stages]
    ['pool1_pad', 'conv2_block2_out', 'conv3_block2_out', 'conv4_block2_out', 'avg_pool']
    """
    check_model(model)
    nodes, top = _calls(model), head_input(model)
    bridges = list(_bridges(nodes, model))
    names = [nodes[position].operation.name for position, _ in bridges]
    begin = names.index(RESCALED) if RESCALED in names else 0
    bridges = bridges[begin : 1 + next(number for number, (_, tensor) in enumerate(bridges) if tensor is top)]
    ends = [before for before, after in itertools.pairwise(bridges) if _falls(before, after, bridges)]
    stages = []
    for (position, first), (end, last) in zip([bridges[0], *ends], [*ends, bridges[-1]]):
        layers = [node.operation for node in nodes[position + 1 : end + 1]]
        stage = Stage([each for each in layers if isinstance(each, keras.layers.Layer)], first, last)
        if stages and not (_has_weights(stages[-1]) and _has_weights(stage)):
            stage = Stage(stages[-1].layers + stage.layers, stages.pop().input, last)
        stages.append(stage)
    return stages


def head_input(model):
    """What the head of a network is given.

    Args:
        model: a functional or sequential `keras.Model`.

    Returns:
        A Keras tensor: what goes into the head of `replace_head`; else into the last dense layer; the output of the
        model where there is neither.

    Raises:
        ValueError: for a model that is not made of layers.

    Example:

    >>> import zoo
    >>> head_input(zoo.ResNet18(input_shape=(32, 32, 3))).shape
    (None, 512)
    """
    check_model(model)
    nodes = _calls(model)
    own = [node for node in nodes if node.operation.name.startswith(HEAD) or node.operation.name == CLASSIFIER]
    dense = [node for node in nodes if isinstance(node.operation, keras.layers.Dense)]
    first = [*own[:1], *dense[-1:]][:1]
    return first[0].input_tensors[0] if first else model.outputs[0]


def check_model(model):
    """Refuse what is no model of one input and one output, made of layers.

    Args:
        model: anything.

    Raises:
        ValueError: if it is none.

    Example:

    >>> check_model(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    """
    ends = [getattr(model, name, None) or [] for name in ("inputs", "outputs")]
    if not isinstance(model, keras.Model) or [len(each) for each in ends] != [1, 1]:
        raise ValueError(
            "The model must be a functional or built sequential `keras.Model` of one input and one output: what stands "
            f"in a `call` cannot be divided. Received: {model!r}"
        )


def _calls(model):
    """The calls of layers that lead to the output, each behind those that it needs."""
    found, seen, waiting = [], set(), [(_call_of(model.outputs[0]), False)]
    while waiting:
        node, ready = waiting.pop()
        if ready:
            found.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            waiting.append((node, True))
            waiting += [(_call_of(tensor), False) for tensor in node.input_tensors]
    return found


def _call_of(tensor):
    operation, number, _ = tensor._keras_history
    return operation._inbound_nodes[number]


def _bridges(nodes, model):
    """Where all that is computed later needs one tensor only: positions and tensors, the images first."""
    uses = collections.Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    uses[id(model.outputs[0])] += 1
    left = collections.Counter()
    for position, node in enumerate(nodes):
        left.subtract(id(tensor) for tensor in node.input_tensors)
        left.update({id(tensor): uses[id(tensor)] for tensor in node.output_tensors})
        left = +left
        if len(left) == 1 and len(node.output_tensors) == 1:
            yield position, node.output_tensors[0]


def _has_weights(stage):
    """Whether there is anything to train, frozen or not."""
    return any(layer.variables for layer in stage.layers if not isinstance(layer, keras.layers.Normalization))


def _falls(before, after, bridges):
    """Whether a feature map is followed by one of less pixels than there were yet."""
    least = min(_pixels(tensor) for position, tensor in bridges if position <= before[0] and len(tensor.shape) == 4)
    return len(after[1].shape) == 4 and _pixels(after[1]) < least


def _pixels(tensor):
    height, width = tensor.shape[2:] if keras.config.image_data_format() == "channels_first" else tensor.shape[1:3]
    if height is None or width is None:
        raise ValueError(
            "Stages are told by resolution: build the model for images of one size, such as "
            f"input_shape=(224, 224, 3). Received: feature maps {tensor.shape}"
        )
    return height * width
