"""Checking a shape as its user gives it: all of it that only compiling can tell."""

from hub.errors import FieldError, Invalid
from hub.shaping.rules import Shape
from hub.shaping.shaper import Shaper


def check_shape(shape: Shape, *, at: str = "/shape") -> None:
    """Compile a shape and forget the result.

    Args:
        at: JSON pointer (RFC 6901) of the shape in what the user sent.

    Raises:
        Invalid: a regular expression or the template is wrong; its FieldErrors point at it, for
            example `/shape/filter/include/0/regex`.
    """
    if shape == Shape():
        return
    try:
        Shaper(shape)
    except Invalid as error:
        inside = [FieldError(f"{at}{e.pointer}", e.detail) for e in error.errors]
        raise Invalid(error.detail, errors=inside) from None
