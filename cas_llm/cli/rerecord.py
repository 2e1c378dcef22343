"""`cas-llm rerecord`: what is recorded, asked again: whole tests, or requests that stand alone.

What is to be done is decided in `cas_llm.rerecord`; here is what was asked for, and in what order
things happen. A dry run, unless ``--apply`` is given.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from cas_llm.cli.options import JsonOption, StoreOption
from cas_llm.errors import ConfigError

_REST = "cas_llm.rest"
_SAID = "cas_llm.said"


class COMMAND_CLASS(TyperCommand):  # noqa: N801 - the name under which the table of commands looks
    """A command that leaves what stands behind ``--`` to pytest."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Note what was said, and read what stands before ``--``."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[_REST], ctx.meta[_SAID] = tuple(args[at + 1 :]), tuple(args[:at])
        return list(super().parse_args(ctx, args[:at]))


def rerecord(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY|TEST|FILE|FOLDER", help="What to record anew."),
    ] = None,
    *,
    model: Annotated[list[str] | None, typer.Option("--model", help="Only of this model.")] = None,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Only what is older: 36h, 90d, 6m.")
    ] = "",
    stale: Annotated[
        bool, typer.Option("--stale", help="Only what is too old, tied, or of old key rules.")
    ] = False,
    text: Annotated[
        list[str] | None, typer.Option("--text", help="Only where this was asked or answered.")
    ] = None,
    missed: Annotated[
        bool, typer.Option("--missed", help="The tests that missed in the last run.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="All that is recorded.")] = False,
    reissue: Annotated[
        bool,
        typer.Option("--reissue", help="Send stored requests; only those that nothing quotes."),
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without, only say what.")] = False,
    replace_edited: Annotated[
        bool, typer.Option("--replace-edited", help="Also ask what was written by hand.")
    ] = False,
    max_cost: Annotated[
        float | None,
        typer.Option("--max-cost", min=0, help="US dollars to spend at most; default: settings."),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", "-j", min=1, max=64, help="Calls, or pytests, at a time; a kill loses these."
        ),
    ] = 1,
    base_url: Annotated[
        str, typer.Option("--base-url", help="With --reissue: where requests go.")
    ] = "",
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, help="With --reissue: seconds without a byte.")
    ] = 120.0,
    live_on_ci: Annotated[
        bool, typer.Option("--live-on-ci", help="Allow calls where CI is set.")
    ] = False,
    python: Annotated[
        str, typer.Option("--python", help="The Python to run tests in; default: the project's.")
    ] = "",
    afresh: Annotated[
        bool, typer.Option("--afresh", help="Forget what an interrupted one has done.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record anew what is chosen: the tests that use it, each all or nothing.

    Without --apply nothing is asked or written: it says which tests would be run, how many calls
    that takes and what they cost. What stands behind -- goes to pytest. Example:
    cas-llm rerecord --model gpt-4o && cas-llm rerecord --model gpt-4o --apply --max-cost 2
    """
    from cas_llm.cli import rerecording
    from cas_llm.rerecord.selecting import Wanted, age

    wanted = Wanted(
        tuple(words or ()),
        tuple(model or ()),
        tuple(text or ()),
        age(older_than) if older_than else None,
        frozenset() if stale else None,
        everything=everything,
    )
    if missed and (wanted or reissue):
        raise ConfigError("--missed stands by itself: it names its tests", source="rerecord")
    if base_url and not reissue:
        raise ConfigError(
            "--base-url is for --reissue; tests ask where their code or OPENAI_BASE_URL says",
            source="rerecord",
        )
    rest = context.meta[_REST]
    if rest and reissue:
        raise ConfigError("--reissue runs no pytest to give arguments to", source="rerecord")
    said = rerecording.Said(
        wanted=wanted,
        missed=missed,
        reissue=reissue,
        apply=apply,
        replace_edited=replace_edited,
        max_cost=max_cost,
        jobs=jobs,
        base_url=base_url,
        timeout=timeout,
        live_on_ci=live_on_ci,
        python=python,
        afresh=afresh,
        rest=rest,
        words=tuple(word for word in context.meta[_SAID] if word != "--apply"),
        as_json=as_json,
    )
    rerecording.carry_out(said, store)
