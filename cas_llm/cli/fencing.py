"""Keeping other people's hooks away from the store: the ``exclude:`` of those that would harm it.

Part of the command line: finds the steps for `init` and what `doctor` says, and takes none itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from cas_llm.cli.hook_config import Hook, HookConfig, NotPlain, read
from cas_llm.cli.hooking import CONFIG, ids_in
from cas_llm.cli.neighbours import NEIGHBOURS, pattern, reaches, yaml_text
from cas_llm.cli.packing import Step, added

_TAKEN = frozenset({"exclude", "<<"})


def steps(top: Path, place: str, before: Sequence[Step] = ()) -> Iterator[Step]:
    """What keeps the neighbours in *top*'s configuration away from the store at *place* there.

    The steps *before* are taken first.
    """
    path = top / CONFIG
    if not path.is_file():
        return
    data = path.read_bytes()
    for step in before:
        data = added(data, step) if step.state == "write" else data
    try:
        config = read(data)
    except NotPlain:
        config = None
    near = [hook for hook in _known(config, data) if _is_near(hook, config, path, place)]
    alone = [hook for hook in near if _goes_by_names(hook)]
    yield from (_told_elsewhere(path, hook, place) for hook in near if hook not in alone)
    if config is None or not (all(map(_is_open, alone)) or _TAKEN & set(config.top)):
        yield from _for_all(path, data, config, alone, place)
        return
    # From below, so that no line that is still to come is moved.
    for hook in sorted(alone, key=lambda one: -one.line):
        yield _own(path, data, config, hook, place)


def _known(config: HookConfig | None, data: bytes) -> list[Hook]:
    """The neighbours that are known; one that is not written key by key stands in line -1."""
    told = [hook for hook in (config.hooks if config else ()) if hook.id in NEIGHBOURS]
    names = {hook.id for hook in told}
    hidden = [name for name in dict.fromkeys(ids_in(data)) if name not in names]
    return told + [Hook(name, -1, 0, {}) for name in hidden if name in NEIGHBOURS]


def _is_near(hook: Hook, config: HookConfig | None, path: Path, place: str) -> bool:
    """Whether *hook* would harm the store, as far as can be told."""
    told_in = NEIGHBOURS[hook.id].told_in
    if told_in:
        own = path.with_name(told_in)
        return not own.is_file() or place not in own.read_text("utf-8", "replace")
    return reaches(hook.id, place, (config.top if config else {}, hook.keys))


def _goes_by_names(hook: Hook) -> bool:
    return not NEIGHBOURS[hook.id].told_in and hook.keys.get("pass_filenames") != "false"


def _is_open(hook: Hook) -> bool:
    """Whether an ``exclude:`` may be added to the hook's own keys."""
    return hook.line >= 0 and not _TAKEN & set(hook.keys)


def _told_elsewhere(path: Path, hook: Hook, place: str) -> Step:
    where = NEIGHBOURS[hook.id].told_in or "its own configuration"
    what = (
        f"{hook.id} {NEIGHBOURS[hook.id].does} recordings, and goes by no file names of "
        f"pre-commit's; let {where} leave out"
    )
    return Step(path, "by hand", what, f"{pattern(place)}\n")


def _for_all(
    path: Path, data: bytes, config: HookConfig | None, hooks: list[Hook], place: str
) -> Iterator[Step]:
    """One ``exclude:`` at the top level, for hooks that can't have one of their own.

    It hides the store from every hook that is handed file names. Those of cas-llm are handed none
    and always run, so that it hides nothing from them.
    """
    if not hooks:
        return
    line = _line(place)
    names = dict.fromkeys(hook.id for hook in hooks)
    whom = ", ".join(f"{name} {NEIGHBOURS[name].does}" for name in names)
    step = Step(path, "write", f"exclude {place}/: {whom} recordings", line, gap=False)
    if config is not None and _is_read_back(added(data, step), config, None):
        yield step
    else:
        yield Step(path, "by hand", f"{whom} recordings; add at the top level", line)


def _own(path: Path, data: bytes, config: HookConfig, hook: Hook, place: str) -> Step:
    """The ``exclude:`` of one hook, below its id."""
    does = f"{hook.id} {NEIGHBOURS[hook.id].does} recordings"
    where = f"line {hook.line + 1}" if hook.line >= 0 else "the hook"
    if not _is_open(hook):
        what = f"{does}; {where}: let its exclude: match this too"
        return Step(path, "by hand", what, f"{pattern(place)}\n")
    text, at = " " * hook.column + _line(place), config.offset(hook.line + 1)
    step = Step(path, "write", f"exclude {place}/: {does}", text, gap=False, at=at)
    if _is_read_back(added(data, step), config, hook):
        return step
    return Step(path, "by hand", f"{does}; add below {where}", text)


def _line(place: str) -> str:
    return f"exclude: {yaml_text(pattern(place))}\n"


def _is_read_back(data: bytes, before: HookConfig, changed: Hook | None) -> bool:
    """Whether *data* says what *before* said, and the ``exclude:`` of *changed* or of all."""
    try:
        after = read(data)
    except NotPlain:
        return False
    if set(after.top) - set(before.top) != (set() if changed else {"exclude"}):
        return False
    told = [(hook.id, set(hook.keys)) for hook in after.hooks]
    return told == [
        (hook.id, set(hook.keys) | ({"exclude"} if hook is changed else set()))
        for hook in before.hooks
    ]
