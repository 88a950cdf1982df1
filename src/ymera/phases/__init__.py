"""Multi-model runs: an agent turns a task into phases, each asked of the model that suits it.

Where to read, top-down:

- nouns: `types`; which phase uses which: `dag`.
- from a file to an agent: `load`, `agent_file`, `toml_lines`, `templates`; from a task to a run:
  `plan`.
- one phase: `executor` (the story), `prompt`, `tries` (which request comes next), `calls` and
  `budget` (each paid for before it leaves), `checks` with `extract`, `parsers` and `loops` (does
  the answer count), `work` (how it ended).
- a run's life: `service` (what can be done with runs), `live` (one run in this process) with
  `driver` (to its end), `interpreter` (walks the plan), `durable` (DBOS), `ending`.
- what is left behind: `run_log` (writes), `reader` and `watch` (read, wait), `custody` and `owner`
  (which process may go on with it), `home` (tasks of one event loop).
"""
