"""`make bench`: runs every benchmark, prints a JSON object a line and a table at the end.

A benchmark is a module of this package with ``run() -> Iterator[Measurement]``. A figure never
fails the run; a benchmark that cannot run does.
"""

import importlib
import json
import os
import pkgutil
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import benchmarks

FIELDS = ("name", "value", "unit", "floor", "ratio", "reach", "cores")
Measurement = dict[str, Any]


def names() -> list[str]:
    """Return the benchmarks there are."""
    return sorted(
        module.name
        for module in pkgutil.iter_modules(benchmarks.__path__)
        if not module.name.startswith("_")
    )


def measure(name: str) -> Iterator[Measurement]:
    """Run one benchmark; every measurement has all of `FIELDS`."""
    for found in importlib.import_module(f"benchmarks.{name}").run():
        yield {field: found.get(field) for field in FIELDS} | {"cores": os.cpu_count()}


def main(only: list[str]) -> int:
    """Run *only*, or all; exit status 1 when one failed to run."""
    if unknown := set(only) - set(names()):
        print(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(names())}")
        return 64
    done: list[Measurement] = []
    failed = []
    for name in only or names():
        try:
            for found in measure(name):
                print(json.dumps(found), flush=True)
                done.append(found)
        except Exception:  # noqa: BLE001  (the others still run)
            traceback.print_exc()
            failed.append(name)
    print(_table(done))
    if failed:
        print(f"failed to run: {', '.join(failed)}")
    return 1 if failed else 0


def _table(rows: list[Measurement]) -> str:
    lines = ["", f"{'name':<44} {'value':>12} {'unit':<10} {'ratio':>8}  reach"]
    for row in rows:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        figure = f"{row['name']:<44} {row['value']:>12.3f} {row['unit']:<10} {ratio:>8}"
        lines.append(f"{figure}  {row['reach'] or ''}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
