#!/usr/bin/env python3
"""Comprehensive validation script for Phase 2E: the document's entry to `ymera validate`.

Usage: python scripts/validate_phase_2e.py [COMPONENT...]
"""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Sequence

from ymera.core.errors import YmeraError
from ymera.validation.run import named, validate

LINE = "=" * 60


async def validate_all(names: Sequence[str] = ()) -> int:
    """Print what each component's checks found; return the exit code: 0 passed, 1 failed."""
    print(LINE)
    print("Phase 2E Validation")
    print(LINE)
    all_passed = True
    async for report in validate(named(names)):
        print("", *report.lines(), sep="\n", flush=True)
        all_passed = all_passed and report.passed
    print("\n" + LINE)
    if all_passed:
        print("✅ PHASE 2E VALIDATION SUCCESSFUL")
        return 0
    print("❌ PHASE 2E VALIDATION FAILED")
    return 1


def main() -> int:
    """Run the components named on the command line, all without any."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may lack the marks
    try:
        return asyncio.run(validate_all(sys.argv[1:]))
    except YmeraError as error:
        print(f"Error: {error.message}\n  {error.hint or ''}".rstrip(), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
