"""A route plan in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ymera.core.route import Candidate, RoutePlan
from ymera.core.tool import ContextUse, ToolUse
from ymera.routing.explain import in_words

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
        counts = Counter(each.reason for each in plan.exclusions)
        if counts:
            often = counts.most_common(_SHOWN_EXCLUSIONS)
            shown = ", ".join(f"{n} {in_words(why)}" for why, n in often)
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
    """Return the sum a score is, such as `0.624 quality + 0.180 speed - 0.012 experience`."""
    parts = [f"{'-' if v < 0 else '+'} {abs(v):.3f} {name}" for name, v in candidate.terms.items()]
    return " ".join(parts).removeprefix("+ ")
