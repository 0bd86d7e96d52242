"""What was found out by one look, and what to do about it."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

Verdict = Literal["ok", "warning", "failed"]

_MARKS: Final = {"ok": "ok     ", "warning": "warning", "failed": "FAILED "}


class Finding(msgspec.Struct, frozen=True):
    """One check.

    Args:
        check: what was looked at; `detail`: what was seen.
        advice: what to do, when it is not well.
    """

    check: str
    verdict: Verdict
    detail: str
    advice: str = ""


def ok(check: str, detail: str) -> Finding:
    """Say that it is well."""
    return Finding(check, "ok", detail)


def warning(check: str, detail: str, advice: str) -> Finding:
    """Say that somebody should look at it."""
    return Finding(check, "warning", detail, advice)


def failed(check: str, detail: str, advice: str) -> Finding:
    """Say that the agent cannot work like that."""
    return Finding(check, "failed", detail, advice)


def is_well(findings: Sequence[Finding]) -> bool:
    """Say whether nothing failed."""
    return all(one.verdict != "failed" for one in findings)


def render(findings: Sequence[Finding]) -> str:
    """Show findings to people."""
    width = max((len(one.check) for one in findings), default=0)
    rows = []
    for one in findings:
        rows.append(f"{_MARKS[one.verdict]}  {one.check:<{width}}  {one.detail}")
        if one.advice:
            rows.append(f"{'':<9}{'':<{width}}  → {one.advice}")
    return "\n".join(rows)


def render_json(findings: Sequence[Finding]) -> str:
    """Show findings to programs."""
    whole = {"well": is_well(findings), "findings": findings}
    return msgspec.json.format(msgspec.json.encode(whole)).decode()
