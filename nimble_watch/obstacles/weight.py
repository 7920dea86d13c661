"""How grave a finding is: whether it is worth an obstacle at all, and what its verdict is by now."""

from __future__ import annotations

from nimble_watch.findings import Finding, Verdict


def serious(finding: Finding) -> bool:
    """Tell whether a finding is more than information."""
    return finding.verdict is not Verdict.INFO


def effective(finding: Finding, now: float) -> Verdict:
    """Give a finding's verdict now: a grace that is over is terminal."""
    over = finding.deadline is not None and now >= finding.deadline
    return Verdict.TERMINAL if finding.verdict is Verdict.GRACE and over else finding.verdict


def weight(verdict: Verdict) -> int:
    """Give a number that grows with the gravity of a verdict."""
    return (Verdict.INFO, Verdict.RECOVERS, Verdict.GRACE, Verdict.TERMINAL).index(verdict)
