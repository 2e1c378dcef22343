"""The command line: which commands there are, and what their ends mean to a shell.

A leaf. Importing it imports typer and nothing else; the module of a command is imported when the
command runs, so that ``--help`` and a mistyped name cost no more than typer does. Every exit code
is decided in `main`.

====  =====================================================================
code  meaning
====  =====================================================================
0     done, nothing wrong
1     problems were found, or an expected failure: its message says what to do
2     wrong usage or a bad setting
3     a defect of cas-llm
130   interrupted
====  =====================================================================
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, NamedTuple, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from cas_llm.errors import CasLLMError, ConfigError

__all__ = ["COMMANDS", "Command", "app", "main"]

PROBLEMS = 1
USAGE = 2
DEFECT = 3
INTERRUPTED = 130

COMPLETES = "_CAS_LLM_COMPLETE"
"""The variable by which a shell says what was typed so far, and asks what may follow."""


class Command(NamedTuple):
    """Where a command lives, the panel of ``--help`` it stands in, and its line there."""

    module: str
    group: str
    help: str


COMMANDS: dict[str, Command] = {
    "init": Command("init", "Record", "Set up a store in this project."),
    "demo": Command("demo", "Record", "Record and replay real calls; needs no key, no network."),
    "pending": Command("pending", "Record", "List, accept or drop answers that wait for a test."),
    "import": Command("import_", "Record", "Bring in the cassettes of vcrpy and other tools."),
    "rerecord": Command("rerecord", "Record", "Record tests or requests anew, with a price tag."),
    "review": Command("review", "Record", "Accept or reject new answers, one by one."),
    "edit": Command("edit", "Record", "Change an answer by hand, and every test that uses it."),
    "rekey": Command("rekey", "Record", "Move the store to other key rules; makes no call."),
    "ls": Command("ls", "Inspect", "List what is recorded."),
    "show": Command("show", "Inspect", "Show a recording or a test's whole tape, readable."),
    "explain": Command("explain", "Inspect", "Why a request has its key, or why a test missed."),
    "history": Command("history", "Inspect", "Show every answer a prompt or a test ever had."),
    "export": Command("export", "Inspect", "Write recordings as cassettes or lines of JSON."),
    "stats": Command("stats", "Inspect", "Count recordings, bytes, tokens and money."),
    "diff": Command("diff", "Inspect", "What changed in the answers, test by test."),
    "report": Command("report", "Guard", "Merge the reports of shards; fail for what is amiss."),
    "doctor": Command("doctor", "Guard", "Say each setting, where it came from, what is amiss."),
    "prune": Command("prune", "Guard", "Take out what nothing needs any more; undo it."),
    "restore": Command("restore", "Guard", "Bring back what was taken out, without a call."),
    "resolve": Command("resolve", "Guard", "Mend the store in the middle of a merge."),
    "verify": Command("verify", "Guard", "Prove the store: names, references, bytes, keys, git."),
}
"""Every command; its module exposes a function of the module's own name."""


_BRACKETS = re.compile(r"(\[[a-z#/@][^\[\]]*\])")


@dataclass
class _Choices:
    """What was said before the command's name."""

    debug: bool = False


def _plain(parameters: list[Any]) -> list[Any]:
    """*parameters* as help shows them: a flag takes no value, so that no type stands beside it."""
    for one in parameters:
        if getattr(one, "is_flag", False) and one.metavar is None:
            one.metavar = ""
    return parameters


class _Readable:
    """A command whose help fills the terminal, however its docstring's lines are broken."""

    help: str

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        paragraphs = inspect.cleandoc(attributes.get("help") or "").split("\n\n")
        attributes["help"] = "\n\n".join(
            one if one.startswith("\b") else " ".join(one.split()) for one in paragraphs
        )
        super().__init__(*arguments, **attributes)

    def get_params(self, ctx: Any) -> list[Any]:
        return _plain(super().get_params(ctx))  # type: ignore[misc]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        # rich would take the name of a table, in its square brackets, for a colour.
        text = self.help
        if getattr(self, "rich_markup_mode", None) == "rich":
            self.help = _BRACKETS.sub(r"\\\1", text)
        try:
            super().format_help(ctx, formatter)  # type: ignore[misc]
        finally:
            self.help = text


class _Commands(TyperGroup):
    """A group that lists `COMMANDS` from the table and imports one when it is about to run."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {
            name: TyperCommand(name, help=command.help, rich_help_panel=command.group)
            for name, command in COMMANDS.items()
        }

    def get_params(self, ctx: Any) -> list[Any]:
        return _plain(super().get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        name, found, rest = super().resolve_command(ctx, args)
        return name, found if name is None else load(name), rest


def load(name: str) -> Any:
    """The command *name*, imported, as typer runs it."""
    word = COMMANDS[name].module
    module = import_module(f"{__name__}.{word}")
    alone = typer.Typer(add_completion=False)
    # One that takes more than typer can tell apart brings a class of its own.
    own = getattr(module, "COMMAND_CLASS", TyperCommand)
    alone.command(name, cls=type(own.__name__, (_Readable, own), {}))(getattr(module, word))
    return get_command(alone)


def _print_version(wanted: bool) -> None:
    if wanted:
        from cas_llm.cli.output import version

        typer.echo(f"cas-llm {version()}")
        raise typer.Exit


def _show_completion(shell: str | None) -> None:
    if shell is not None:
        from cas_llm.cli.completion import script

        typer.echo(script(shell), nl=False)
        raise typer.Exit


def _choose_debug(context: typer.Context, wanted: bool) -> None:
    if isinstance(context.obj, _Choices):
        context.obj.debug = wanted


app = typer.Typer(cls=_Commands, add_completion=False, no_args_is_help=True)


@app.callback(epilog="Docs and issues: https://pypi.org/project/cas-llm/")
def _start(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Say the version."),
    ] = False,
    completion: Annotated[
        str | None,
        typer.Option(
            "--show-completion",
            metavar="SHELL",
            callback=_show_completion,
            is_eager=True,
            show_default=False,
            help="Print what makes bash, zsh or fish complete cas-llm.",
        ),
    ] = None,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            callback=_choose_debug,
            is_eager=True,
            help="Show the traceback of an unexpected failure.",
        ),
    ] = False,
) -> None:
    """Record every LLM call once, keep the answer in git, replay it for ever."""
    del (
        version,
        completion,
        debug,
    )  # their callbacks did what is to be done, before any command is imported


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with the exit code of the table above.

    Under ``--json`` an error is told twice: as text on standard error, and as
    ``{"error": {"message": ..., "exit": ...}}`` on standard output.
    """
    if (typed := os.environ.get(COMPLETES)) is not None:
        from cas_llm.cli.completion import complete

        complete(typed)
        sys.exit(0)
    choices = _Choices()
    given = sys.argv[1:] if arguments is None else list(arguments)
    as_json = "--json" in given
    try:
        # Not standalone: typer would print a usage error itself, and end before it is told as JSON.
        ended = get_command(app).main(
            args=arguments, prog_name="cas-llm", obj=choices, standalone_mode=not as_json
        )
        code = ended if isinstance(ended, int) else 0
    except CasLLMError as error:
        code = _expected(error)
        _tell_as_json(as_json, str(error), code)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last frame of the program
        code = _usage(error) or _unexpected(error, debug=choices.debug)
        _tell_as_json(as_json, _message(error), code)
    sys.exit(code)


def _tell_as_json(wanted: bool, message: str, code: int) -> None:
    if wanted:
        import json

        sys.stdout.write(json.dumps({"error": {"message": message, "exit": code}}, indent=2) + "\n")


def _usage(error: Exception) -> int:
    """Tell an error of the command line's own, which typer's versions have in several places."""
    show, code = getattr(error, "show", None), getattr(error, "exit_code", 0)
    if not (callable(show) and callable(getattr(error, "format_message", None)) and code):
        return 0
    show()
    return int(code)


def _message(error: Exception) -> str:
    told = getattr(error, "format_message", None)
    return str(told() if callable(told) else f"{type(error).__name__}: {error}")


def _expected(error: CasLLMError) -> int:
    sys.stderr.write(f"cas-llm: {error}\n")
    return USAGE if isinstance(error, ConfigError) else PROBLEMS


def _unexpected(error: Exception, *, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    said = " ".join(str(error).split())
    how = "" if debug else " (the traceback: cas-llm --debug ...)"
    sys.stderr.write(
        f"cas-llm: a defect, not your mistake: {type(error).__name__}: {said}; please report it "
        f"with this line and the command you typed{how}\n"
    )
    return DEFECT
