"""The labels of a sample, as Prometheus takes them."""

import re
from collections.abc import Mapping
from typing import Final

_BAD: Final = re.compile(r"[^a-zA-Z0-9_]")


def labels_of(own: Mapping[str, str], *, project: str, device: str, host: str) -> dict[str, str]:
    """Put together a sample's labels: its own, and where it comes from.

    A label of its own that is called like one of ours (a disk's `device`) gets the prefix
    `exported_`, as Prometheus does when it scrapes (`honor_labels: false`). A label without a value
    is the same as none (Prometheus, "Data model").
    """
    ours = {"project": project, "device": device, "host": host}
    found: dict[str, str] = {}
    for name, value in own.items():
        clean = label_name(name)
        found[f"exported_{clean}" if clean in ours else clean] = value
    return {name: value for name, value in (found | ours).items() if value}


def label_name(name: str) -> str:
    """Make a name match `[a-zA-Z_][a-zA-Z0-9_]*`; Prometheus keeps what starts with `__`."""
    clean = _BAD.sub("_", name)
    if clean[:1].isdigit():
        clean = f"_{clean}"
    return f"label{clean}" if clean.startswith("__") or not clean else clean
