"""Embedded models as a chat provider: llama.cpp in a supervised child, asked over loopback."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import msgspec

from ymera.core.answer import ChatEvent
from ymera.core.chat import (
    ChatRequest,
    ImagePart,
    Sampling,
)
from ymera.core.errors import (
    CatalogError,
    MachineError,
    ProviderError,
    ProviderErrorKind,
    ProviderErrorScope,
)
from ymera.core.model import Model
from ymera.core.ports import Deadlines, Transport
from ymera.providers.hosted import HostedProvider
from ymera.providers.local_process import LocalProcess
from ymera.providers.local_settings import LocalSettings
from ymera.providers.local_supervisor import LocalSupervisor
from ymera.providers.pull import is_pulled, model_path
from ymera.wire import openai_chat

__all__ = ["LocalProvider", "is_runnable"]

_PASSED_ON = frozenset(
    {"frequency_penalty", "logit_bias", "min_p", "presence_penalty", "repeat_penalty", "top_k"}
)
"""Extra request fields the child gets to see; others could choose slots or lift bounds."""
_DEATH_SHOWS_WITHIN_S = 0.5


@functools.cache
def is_runnable() -> bool:
    """Whether the package that runs embedded models (extra `local`) is installed.

    Looked up once per process: every request asks, and the search reads directories.
    """
    return importlib.util.find_spec("xllamacpp") is not None


class LocalProvider:
    """Answers with models on this machine.

    Decoding is greedy unless the caller asks for sampling, an answer ends where the context
    ends, and JSON schemas are enforced by grammar.

    Args:
        provider_id: catalogue id of the provider.
        models_dir: where `ymera models pull` puts the files.
        transport: carries the bytes; shared between providers, so `close` leaves it open.
        settings: bounds of context, slots, threads, processes and time.
        supervisor: of the child processes; None for one of its own.
    """

    def __init__(
        self,
        provider_id: str,
        models_dir: Path,
        transport: Transport,
        settings: LocalSettings = LocalSettings(),  # noqa: B008 - frozen
        *,
        supervisor: LocalSupervisor | None = None,
    ) -> None:
        self.provider_id = provider_id
        self._models_dir = models_dir
        self._transport = transport
        self._settings = settings
        self._supervisor = supervisor or LocalSupervisor(settings)

    async def stream(
        self, request: ChatRequest, model: Model, deadlines: Deadlines
    ) -> AsyncGenerator[Sequence[ChatEvent], None]:
        """Yield the events of the answer; see `ymera.core.ports.ChatProvider.stream`.

        `deadlines` are those of hosted models and do not count here: reading a long prompt takes
        this machine longer. `LocalSettings.answer_timeout_s` does.

        Raises:
            MachineError: xllamacpp is not installed, or the model is not pulled.
            ProviderError: kind too_large: over the context; capability: an image; transient:
                the child crashed or did not start; upstream_busy: no room for one more model.
        """
        path = self._weights_file(model)
        _refuse_images(request, model)
        bounded = _bound(request, model, self._settings.context_tokens)
        lent = self._supervisor.lend(path, window_tokens=model.context_window)
        async with lent as process:
            headers = {"authorization": f"Bearer {process.key}"}
            upstream = HostedProvider(
                self.provider_id,
                openai_chat.UPSTREAM,
                process.base_url,
                headers,
                self._transport,
            )
            events = upstream.stream(bounded, model, self._deadlines())
            try:
                async with contextlib.aclosing(events):
                    async for batch in events:
                        yield batch
            except ProviderError as error:
                # The cut connection is noticed before the process counts as gone.
                if error.kind is ProviderErrorKind.TRANSIENT and await asyncio.to_thread(
                    process.wait_gone, _DEATH_SHOWS_WITHIN_S
                ):
                    raise _crashed(model, process) from error
                raise

    def runs(self, model: Model) -> bool:
        """Return whether the model is loaded, or about to be."""
        if model.weights is None:
            return False
        return self._supervisor.serves(model_path(model.weights, self._models_dir))

    async def close(self) -> None:
        """End the child processes."""
        await self._supervisor.close()

    def _weights_file(self, model: Model) -> Path:
        if model.weights is None:
            raise CatalogError(
                f"The catalogue entry {model.id!r} names no file, so it is no embedded model.",
                hint="Give the entry its weights, or another provider.",
            )
        if not is_runnable():
            raise MachineError(
                "Embedded models need the package 'xllamacpp', which is not installed.",
                hint="Run: pip install 'ymera[local]'",
            )
        path = model_path(model.weights, self._models_dir)
        if not self._supervisor.serves(path) and not is_pulled(model.weights, self._models_dir):
            raise MachineError(
                f"The model {model.id!r} has not been downloaded yet.",
                hint=f"Run: ymera models pull {model.upstream_id}",
            )
        return path

    def _deadlines(self) -> Deadlines:
        whole_s = self._settings.answer_timeout_s
        return Deadlines(connect_s=5.0, first_byte_s=whole_s, idle_s=whole_s, total_s=whole_s)


def _bound(request: ChatRequest, model: Model, context_tokens: int) -> ChatRequest:
    """Make decoding greedy unless sampling was asked for, and bound the answer.

    The child is asked to stream in any case: llama.cpp notices that the caller of a plain answer
    has left only while no other slot is writing.
    """
    asked = request.sampling
    sampled = asked.temperature is not None or asked.top_p is not None
    bounds = (asked.max_tokens, model.max_output, model.context_window, context_tokens)
    return msgspec.structs.replace(
        request,
        stream=True,
        include_usage=True,
        sampling=Sampling(
            temperature=asked.temperature if sampled else 0.0,
            top_p=asked.top_p,
            max_tokens=min(bound for bound in bounds if bound is not None),
            stop=asked.stop,
            seed=asked.seed,
        ),
        extra={name: value for name, value in request.extra.items() if name in _PASSED_ON},
    )


def _refuse_images(request: ChatRequest, model: Model) -> None:
    if any(isinstance(part, ImagePart) for turn in request.messages for part in turn.content):
        raise ProviderError(
            f"The embedded model {model.id!r} cannot see images.",
            kind=ProviderErrorKind.CAPABILITY,
            scope=ProviderErrorScope.MODEL,
            hint="Choose a model with vision.",
        )


def _crashed(model: Model, process: LocalProcess) -> ProviderError:
    return ProviderError(
        f"The embedded model {model.id!r} stopped in the middle of its answer: "
        f"{process.last_words()}.",
        kind=ProviderErrorKind.TRANSIENT,
        scope=ProviderErrorScope.MODEL,
        hint="Ask again: it is started anew. If it stops again, memory may be too small for it.",
    )
