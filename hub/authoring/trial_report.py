"""What is tried, and what came of it: told between the command line and the trying process."""

import msgspec


class Subject(msgspec.Struct, frozen=True):
    """What is tried.

    Args:
        plugins: module by name of the plugin; "" for one that is installed.
        paths: to import it from.
        suites: to run, with the number of the type's example that each tries; empty for all.
    """

    plugins: dict[str, str]
    paths: tuple[str, ...] = ()
    suites: dict[str, int] = {}


class Case(msgspec.Struct, frozen=True):
    """One case; `complaint` is "" when it holds."""

    subject: str
    name: str
    holds: str
    complaint: str = ""


class Result(msgspec.Struct):
    """What came of it.

    Args:
        plugins: what each declares, or (`problems`) why it cannot be loaded.
        untried: why a destination type cannot be tried, by its name.
    """

    plugins: dict[str, tuple[str, ...]] = {}
    problems: dict[str, str] = {}
    cases: list[Case] = []
    untried: dict[str, str] = {}
