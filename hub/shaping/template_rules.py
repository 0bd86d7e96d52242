"""What a template may be made of: no loops, no calls, nothing whose time or size is not bounded.

jinja2's sandbox keeps a template from reaching Python; this list keeps it from taking long. With no
repetition in it, a template does at most what its 4,096 characters say, once a line.
"""

from collections.abc import Iterator
from typing import Final

from jinja2 import nodes

VARIABLES: Final = frozenset(
    {"message", "program", "host", "device", "stream", "severity", "facility", "time", "id"}
)
"""What a template may name, besides `labels`."""

_SHRINKING: Final = frozenset(
    {"capitalize", "d", "default", "int", "length", "lower", "title", "trim", "truncate", "upper"}
)
_EXPANDING: Final = frozenset({"e", "escape", "tojson", "urlencode"})  # up to twelve times
FILTERS: Final = _SHRINKING | _EXPANDING
"""https://jinja.palletsprojects.com/en/stable/templates/#builtin-filters tells what they do."""

MAX_FILTERS: Final = 4
"""In a chain; one of them may expand."""

MAX_VALUES: Final = 16
"""Variables in one expression: each may be as long as a line."""

MAX_DEPTH: Final = 20
"""Blocks and expressions within one another."""

_ALLOWED: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.CondExpr, nodes.Name,
    nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Compare, nodes.Operand, nodes.And, nodes.Or,
    nodes.Not, nodes.Concat, nodes.Filter, nodes.Tuple, nodes.List, nodes.Keyword,
)  # fmt: skip
_WORDS: Final[dict[type[nodes.Node], str]] = {
    nodes.For: "loops",
    nodes.Call: "calls",
    nodes.Macro: "macros",
    nodes.CallBlock: "macros",
    nodes.FilterBlock: "filter blocks",
    nodes.Assign: "set",
    nodes.AssignBlock: "set",
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "import",
    nodes.Extends: "extends",
    nodes.Block: "blocks",
    nodes.Test: "tests (`is …`)",
    nodes.Slice: "slices (truncate does that)",
    nodes.Dict: "dictionaries",
}


class Refusal(Exception):  # noqa: N818 - says what it is
    """A template has something that it may not have.

    Args:
        line: in the template, from 1.
    """

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


def check_template(tree: nodes.Template) -> frozenset[str]:
    """Give the variables that a template uses.

    Raises:
        Refusal: it has something that it may not have.
    """
    used = set[str]()
    _check(tree, 0, used)
    return frozenset(used)


def _check(node: nodes.Node, depth: int, used: set[str]) -> None:
    if depth > MAX_DEPTH:
        raise Refusal(f"more than {MAX_DEPTH} things are within one another", node.lineno)
    if not isinstance(node, _ALLOWED):
        what = _WORDS.get(type(node))
        raise Refusal(f"templates have no {what}" if what else _operation(node), node.lineno)
    match node:
        case nodes.Name():
            _check_name(node)
            used.add(node.name)
        case nodes.Getattr() | nodes.Getitem():
            _check_access(node)
        case nodes.Filter():
            _check_filters(node)
        case nodes.Tuple() | nodes.List():
            if not all(isinstance(item, nodes.Const) for item in node.items):
                raise Refusal("a list has constants only", node.lineno)
    if isinstance(node, nodes.Expr):
        _check_values(node)
    for child in node.iter_child_nodes():
        _check(child, depth + 1, used)


def _operation(node: nodes.Node) -> str:
    sign = getattr(node, "operator", None)
    what = f"no {sign!r}" if sign else f"nothing of the kind {type(node).__name__!r}"
    return f"templates have {what}; text is put together by ~"


def _check_name(node: nodes.Name) -> None:
    if node.name not in VARIABLES and node.name != "labels":
        known = ", ".join(sorted(VARIABLES | {"labels"}))
        raise Refusal(f"{node.name} is not known; there are {known}", node.lineno)


def _check_access(node: nodes.Getattr | nodes.Getitem) -> None:
    if not (isinstance(node.node, nodes.Name) and node.node.name == "labels"):
        raise Refusal("only labels have parts: labels.name", node.lineno)
    if isinstance(node, nodes.Getitem) and not (
        isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str)
    ):
        raise Refusal('a label is named by a constant: labels["name"]', node.lineno)


def _check_filters(node: nodes.Filter) -> None:
    names = [one.name for one in _chain(node)]
    for name in names:
        if name not in FILTERS:
            raise Refusal(
                f"the filter {name} is not one of {', '.join(sorted(FILTERS))}", node.lineno
            )
    if len(names) > MAX_FILTERS:
        raise Refusal(f"at most {MAX_FILTERS} filters follow one another", node.lineno)
    # A filter within another's operand counts as well: `(a | tojson ~ b) | tojson`.
    expanding = [one.name for one in (node, *node.find_all(nodes.Filter)) if one.name in _EXPANDING]
    if len(expanding) > 1:
        raise Refusal(f"only one of {', '.join(sorted(_EXPANDING))} in an expression", node.lineno)
    values = [*node.args, *(keyword.value for keyword in node.kwargs)]
    if node.dyn_args or node.dyn_kwargs or not all(isinstance(v, nodes.Const) for v in values):
        raise Refusal(f"what {node.name} is given has to be constant", node.lineno)


def _chain(node: nodes.Filter) -> Iterator[nodes.Filter]:
    current: nodes.Node | None = node
    while isinstance(current, nodes.Filter):
        yield current
        current = current.node


def _check_values(node: nodes.Expr) -> None:
    if sum(1 for _ in node.find_all(nodes.Name)) > MAX_VALUES:
        raise Refusal(f"more than {MAX_VALUES} variables in one expression", node.lineno)
