"""How a command gets its `App`, and how text reaches it from arguments and stdin."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ymera.core.errors import InvalidRequest, TooLong

if TYPE_CHECKING:
    from ymera.app import App

__all__ = ["Session", "open_session", "read_line", "read_prompt", "stdin_is_terminal"]

_T = TypeVar("_T")
_UTF8_BYTES_PER_CHAR = 4


@dataclass(frozen=True)
class Session:
    """An app and the event loop its asynchronous parts run in.

    Between two `run` calls no loop runs, so that Ctrl-C ends blocking work (reading a terminal,
    a download) at once.
    """

    app: App
    runner: asyncio.Runner

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run `work` to its end."""
        return self.runner.run(work)


@contextmanager
def open_session() -> Iterator[Session]:
    """Open an app built from files and environment; close it after the block."""
    from ymera.app import App

    app = App.create()
    with asyncio.Runner() as runner:
        run: Callable[[Coroutine[Any, Any, None]], None] = runner.run
        try:
            yield Session(app, runner)
        except KeyboardInterrupt:
            run = asyncio.run  # it may have hit the runner's loop anywhere: take a new one
            raise
        finally:
            run(app.close())


def read_prompt(argument: str | None, *, max_chars: int) -> str:
    """Return the prompt: the argument, then whatever stdin holds when it is not a terminal.

    Raises:
        InvalidRequest: empty, or not UTF-8.
        TooLong: over `max_chars`; stdin is not read further than that.
    """
    parts = [_checked(argument)] if argument else []
    if sys.stdin is not None and not sys.stdin.isatty():
        parts.append(_stdin_text(sys.stdin.buffer.read, max_chars))
    prompt = "\n\n".join(part for part in parts if part.strip())
    if not prompt:
        raise InvalidRequest(
            "The prompt is empty.", hint='Give one: ymera "What is a monad?"', param="prompt"
        )
    return prompt


def read_line(*, max_chars: int) -> str:
    """Return the next line of stdin with its end; empty at the end of input.

    Raises:
        InvalidRequest: not UTF-8.
        TooLong: over `max_chars`; stdin is not read further than that.
    """
    return _stdin_text(sys.stdin.buffer.readline, max_chars) if sys.stdin is not None else ""


def stdin_is_terminal() -> bool:
    """Return whether a person types; False too where stdin is closed (`<&-`)."""
    return sys.stdin is not None and sys.stdin.isatty()


def _checked(argument: str) -> str:
    try:
        argument.encode()
    except UnicodeEncodeError:
        raise _not_utf8("The prompt") from None
    return argument


def _stdin_text(read: Callable[[int], bytes], max_chars: int) -> str:
    """Return what `read` finds on stdin, having read no more than `max_chars` may take."""
    limit_bytes = max_chars * _UTF8_BYTES_PER_CHAR
    data = read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise TooLong(
            f"The text on stdin is over the limit of {max_chars:,} characters.",
            hint="Send less, or raise security.max_input_length.",
            param="prompt",
        )
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _not_utf8("The text on stdin") from None


def _not_utf8(what: str) -> InvalidRequest:
    return InvalidRequest(f"{what} is not valid UTF-8.", hint="Convert it with iconv first.")
