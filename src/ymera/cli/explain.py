"""A route plan in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ymera.core.route import Candidate, RoutePlan
from ymera.core.tool import ContextUse, ToolUse

__all__ = ["plan_lines", "use_lines"]

_SHOWN_EXCLUSIONS = 8


def plan_lines(plan: RoutePlan, *, all_exclusions: bool = False) -> list[str]:
    """Return the plan as lines for people."""
    task = plan.profile
    how = f"inferred, {task.type_probability:.0%} sure" if task.inferred else "as asked"
    lines = [
        f"Task: {task.type} ({how}), {task.complexity}, about {task.est_input_tokens} tokens in "
        f"and {task.est_output_tokens} out. Policy: {plan.policy.name}."
    ]
    lines += [
        f"{place}. {each.model.id}  score {each.score:.3f} = {_terms(each)}  {each.reason}"
        for place, each in enumerate(plan.candidates, 1)
    ]
    if not plan.candidates:
        lines.append("No model can be asked now.")
    if all_exclusions:
        lines += [f"-  {each.model_id}: {each.detail}" for each in plan.exclusions]
    else:
        counts = Counter(each.reason.value for each in plan.exclusions)
        if counts:
            shown = ", ".join(f"{n} {why}" for why, n in counts.most_common(_SHOWN_EXCLUSIONS))
            lines.append(f"Left out: {shown}.")
    return lines


def use_lines(tools: Iterable[ToolUse], context: Iterable[ContextUse]) -> list[str]:
    """Return what was used on the way to an answer as lines for people."""
    lines = [
        f"Tool {use.name} ({use.source}): {'ok' if use.ok else use.error_code}, "
        f"{use.output_chars} characters in {use.latency_s:.1f} s."
        for use in tools
    ]
    for brought in context:
        cut = f", {brought.cut_chars} cut" if brought.cut_chars else ""
        lines.append(f"Context {brought.source}: {brought.chars} characters{cut}.")
    return lines


def _terms(candidate: Candidate) -> str:
    return " + ".join(f"{value:.3f} {name}" for name, value in candidate.terms.items())
