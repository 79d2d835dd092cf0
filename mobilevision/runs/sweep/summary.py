"""The end of a sweep: what came out of every run, as a table and figures."""

from __future__ import annotations

from mobilevision.errors import UserError
from mobilevision.runs.sweep.jobs import ERROR, folders
from mobilevision.runs.sweep.plan import Plan


def sum_up(plan: Plan) -> None:
    """Print the table of a sweep and write its figures into its folder.

    Raises:
        UserError: where runs failed; the others are summed up all the same.
    """
    from mobilevision.runs.compare import collect, print_rows, write

    places = folders(plan.folder)
    failed = [place for place in places if (place / ERROR).exists()]
    finished = [place for place in places if place not in failed and (place / "metrics.json").exists()]
    if finished:
        print(f"\n{len(finished)} runs in {plan.folder}")
        rows = collect(finished)
        print_rows(rows)
        files = write(rows, finished[0].parent)
        print(f"\nwritten     {', '.join(file.name for file in files)}")
    if failed:
        why = "\n".join(f"  {place.name}: {(place / ERROR).read_text(encoding='utf-8').strip()}" for place in failed)
        raise UserError(f"{len(failed)} of {len(places)} runs failed; the same command tries them again:\n{why}")
