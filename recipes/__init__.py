"""Documented experiments, reproduced: one recipe a file, named `<data>_<model>.py`.

Import a recipe and call its `train`; `recipes.schedules` and `recipes.callbacks` are public too.

Example:

>>> from recipes import schedules
>>> schedules.piecewise_linear(5, [0, 10], [0.0, 0.5])
0.25
"""
