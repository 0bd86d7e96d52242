"""What is wrong with a shape: all of it is told at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from hub.errors import FieldError, Invalid


class Problems:
    """Gathers what compiling the parts of a shape finds wrong."""

    def __init__(self) -> None:
        self._errors: list[FieldError] = []

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Keep the errors of an `Invalid` for later."""
        try:
            yield
        except Invalid as invalid:
            self._errors += invalid.errors

    def add(self, pointer: str, detail: str) -> None:
        """Note one."""
        self._errors.append(FieldError(pointer, detail))

    def check(self) -> None:
        """Refuse the shape if something is wrong.

        Raises:
            Invalid: with an error for each.
        """
        if self._errors:
            raise Invalid(self._errors[0].detail, errors=self._errors)
