"""What the arguments of a recipe may be: read from the annotations of its signature."""

import types
import typing

from recipes.catalogue import nearest


def kinds(annotation):
    """The types and the literal values that an annotation allows.

    Args:
        annotation: a type, a `typing.Literal`, or a union of them.

    Returns:
        `(types, literals)`, two tuples.

    Example:

    >>> kinds(str | None)
    ((<class 'str'>, <class 'NoneType'>), ())
    """
    if typing.get_origin(annotation) is typing.Literal:
        return (), typing.get_args(annotation)
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        parts = [kinds(part) for part in typing.get_args(annotation)]
        return sum((part[0] for part in parts), ()), sum((part[1] for part in parts), ())
    return (annotation,), ()


def checked(name, value, annotation):
    """Refuse a value that an annotation does not allow.

    Args:
        name: str. Of the argument.
        value: what was given.
        annotation: a type, a `typing.Literal`, or a union of them.

    Returns:
        The value; an int as a float where only that is allowed.

    Raises:
        ValueError: if it is of another kind, or no number.

    Example:

    >>> checked("momentum", 1, float)
    1.0
    """
    allowed, literals = kinds(annotation)
    if literals and value in literals:
        return value
    if float in allowed and int not in allowed and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not any(type(value) is each for each in allowed):
        expected = [repr(each) for each in literals] + [each.__name__.replace("NoneType", "None") for each in allowed]
        near = nearest(value, [each for each in literals if isinstance(each, str)]) if isinstance(value, str) else None
        hint = f" Did you mean {near!r}?" if near else ""
        raise ValueError(f"`{name}` must be {' or '.join(expected)}. Received: {name}={value!r}.{hint}")
    if isinstance(value, float) and value != value:
        raise ValueError(f"`{name}` must be a number. Received: {name}=nan")
    return value
