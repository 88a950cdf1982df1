"""`calculator`: arithmetic, exact where integers are, bounded in time and size."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from ymera.core.tool import Tool, ToolEffect
from ymera.tools.builtin import BuiltinTool, ToolFailed, text_argument

if TYPE_CHECKING:
    from simpleeval import SimpleEval

__all__ = ["calculate", "make"]

_MAX_EXPRESSION_CHARS = 500
_MAX_BITS = 8192
_MAX_FACTORIAL = 500
_MAX_ROUND_DIGITS = 100
_MAX_NESTING = 60

Number = int | float

_TOOL = Tool(
    name="calculator",
    description="Calculates an arithmetic expression such as (17.5 + 3) * 2 ** 8 or sqrt(2) / 3.",
    parameters=msgspec.Raw(
        msgspec.json.encode(
            {
                "type": "object",
                "properties": {
                    "expression": {
                        "type": "string",
                        "description": "Numbers, + - * / // % ** and parentheses, and functions "
                        "such as sqrt, round, min, max, log, sin.",
                        "maxLength": _MAX_EXPRESSION_CHARS,
                    }
                },
                "required": ["expression"],
                "additionalProperties": False,
            }
        )
    ),
    effect=ToolEffect.READ_ONLY,
    timeout_s=5.0,
    max_output_chars=4000,
)


def make() -> BuiltinTool:
    """Return the tool."""

    async def describe() -> Tool:
        return _TOOL

    async def run(arguments: Mapping[str, object]) -> str:
        return calculate(text_argument(arguments, "expression"))

    return BuiltinTool(describe=describe, run=run)


def calculate(expression: str) -> str:
    """Return the value of an arithmetic expression as text.

    Integers are exact up to 8,192 bits, other numbers have 15 digits. `^` means power.

    Raises:
        ToolFailed: not arithmetic, too large, or without a value (division by zero).
    """
    from simpleeval import InvalidExpression

    if len(expression) > _MAX_EXPRESSION_CHARS:
        raise ToolFailed(f"The expression is longer than {_MAX_EXPRESSION_CHARS} characters.")
    try:
        tree = ast.parse(expression.strip().replace("^", "**"), mode="eval")
        if _depth(tree.body) > _MAX_NESTING:
            raise ToolFailed("The expression is nested too deeply.")
        value = _evaluator().eval(expression, previously_parsed=tree.body)
        return _shown(value)
    except (InvalidExpression, SyntaxError) as error:
        raise ToolFailed(f"Not an arithmetic expression: {error}") from error
    except (ArithmeticError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise ToolFailed(f"No value: {error}") from error


def _evaluator() -> SimpleEval:
    from simpleeval import SimpleEval

    made = SimpleEval(operators=_OPERATORS, functions=_FUNCTIONS, names=_NAMES)
    allowed = (ast.UnaryOp, ast.BinOp, ast.Call, ast.Name, ast.Constant)
    made.nodes = {kind: handler for kind, handler in made.nodes.items() if kind in allowed}
    made.nodes[ast.Constant] = _constant
    return made


def _depth(node: ast.AST) -> int:
    """Return how deep the tree is, without recursion."""
    deepest, waiting = 0, [(node, 1)]
    while waiting:
        one, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting += [(child, depth + 1) for child in ast.iter_child_nodes(one)]
    return deepest


def _constant(node: ast.Constant) -> Number:
    value = node.value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ToolFailed("Only numbers can be calculated with.")
    return _bounded(value)


def _bounded(value: object) -> Number:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ToolFailed("The result is no real number.")
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise ToolFailed(f"The number has more than {_MAX_BITS} bits.")
    return value


def _power(base: Number, exponent: Number) -> Number:
    whole = isinstance(base, int) and isinstance(exponent, int)
    if whole and abs(exponent) * max(base.bit_length(), 1) > _MAX_BITS:  # type: ignore[union-attr]
        raise ToolFailed(f"The power has more than {_MAX_BITS} bits.")
    return _bounded(base**exponent)


def _factorial(number: Number) -> int:
    if not isinstance(number, int) or not 0 <= number <= _MAX_FACTORIAL:
        raise ToolFailed(f"factorial takes whole numbers from 0 to {_MAX_FACTORIAL}.")
    return math.factorial(number)


def _round(number: Number, digits: Number = 0) -> Number:
    if not isinstance(digits, int) or abs(digits) > _MAX_ROUND_DIGITS:
        raise ToolFailed(f"round takes up to {_MAX_ROUND_DIGITS} digits.")
    return round(number, digits) if digits else round(number)


def _checked(operation: Callable[..., object]) -> Callable[..., Number]:
    def checked(*numbers: Number) -> Number:
        return _bounded(operation(*numbers))

    return checked


_OPERATORS: dict[type[ast.AST], Callable[..., Number]] = {
    ast.Add: _checked(operator.add),
    ast.Sub: _checked(operator.sub),
    ast.Mult: _checked(operator.mul),
    ast.Div: _checked(operator.truediv),
    ast.FloorDiv: _checked(operator.floordiv),
    ast.Mod: _checked(operator.mod),
    ast.Pow: _power,
    ast.UAdd: _checked(operator.pos),
    ast.USub: _checked(operator.neg),
}

_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "abs": _checked(abs),
    "ceil": _checked(math.ceil),
    "cos": _checked(math.cos),
    "exp": _checked(math.exp),
    "factorial": _factorial,
    "floor": _checked(math.floor),
    "log": _checked(math.log),
    "log10": _checked(math.log10),
    "log2": _checked(math.log2),
    "max": _checked(max),
    "min": _checked(min),
    "round": _round,
    "sin": _checked(math.sin),
    "sqrt": _checked(math.sqrt),
    "tan": _checked(math.tan),
}

_NAMES: dict[str, Number] = {"pi": math.pi, "e": math.e}


def _shown(value: object) -> str:
    number = _bounded(value)
    if isinstance(number, int):
        return str(number)
    if math.isfinite(number) and number == int(number) and abs(number) < 1e15:
        return str(int(number))
    return f"{number:.15g}"
