"""No secret is written: every format, in every place, split anywhere, in every file of a run.

One of each format runs always, 20 in the slow tests, 200 under ``CAS_LLM_THOROUGH``. What is looked through is all that a
recording leaves behind: the store, its `.local`, the index, the git directory with its objects
unpacked, the run's folder, the log and the report.
"""

import json
import logging
import subprocess

import pytest
from support.desk import Desk, Upstream, a_test, chat
from support.extent import extent
from support.inner import FALLBACK, Inner
from support.leaks import Needles, leaks_below
from support.secret_deltas import DELTAS, stream, strings_of
from support.secret_places import FIXED, requests_with, responses_with
from support.secrets import FRAMED, GRAMMARS, PROVIDERS, SERVICES, VALUE, VALUES

from cas_llm import config
from cas_llm.config import Rank
from cas_llm.session import Forward, Runtime, Scope, Serve, Session
from cas_llm.session.report import log_document
from cas_llm.wire import Response

FEW, MANY = 1, extent(20, 200)
SORTS = {"providers": PROVIDERS, "services": SERVICES, "framed": FRAMED, "values": VALUES}
SPLIT = [g for g in GRAMMARS if g.name in {"openai", "aws key id", "url password"}]
EVENTS = (("content-type", "text/event-stream"),)


class Recorder:
    """Sessions on one store in a git repository, and all the secrets that went through them."""

    def __init__(self, folder, monkeypatch):
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.secrets = []
        self.upstream = Upstream()
        self.runtimes = []
        self.said = []

    def desk(self, mode):
        """A run of its own, as a fresh process has it."""
        root = str(self.folder / "cache_store")
        settings = config.load(self.folder, {}).but("a test", store=root, record_errors="all")
        settings = settings.says(mode, Rank.USE, "a test")
        runtime = Runtime(settings)
        self.runtimes.append(runtime)
        return Desk(Session(settings, runtime), self.upstream)

    def told(self, grammar, seed, *, other=False, pack=1):
        """What to put in a place: secrets of its own, or with *other* others in their stead."""
        value = self._value(grammar, f"{seed} {other}") if grammar.by == VALUE else None

        def place(name):
            if value is not None:
                return value
            changed = " again" if other and name not in FIXED else ""
            made = [grammar.secret(f"{seed} {name} {n}{changed}") for n in range(pack)]
            self.secrets += [secret.text for secret in made]
            return "\n".join(secret.told for secret in made)

        return place

    def _value(self, grammar, seed):
        """A value can only be told by its variable, which has one at a time."""
        made = grammar.secret(seed)
        self.secrets.append(made.text)
        self.monkeypatch.setenv(grammar.kind.removeprefix("env:"), made.text)
        return made.text

    def close(self):
        for runtime in self.runtimes:
            self.said.append(json.dumps(log_document(runtime.log)))
            runtime.store.flush()
            runtime.store.close()

    def commit(self):
        for command in (["add", "-A"], ["commit", "-q", "-m", "Recordings"]):
            subprocess.run(["git", "-C", str(self.folder), *command], check=True)

    def leaks(self, log=""):
        """The files that hold a piece of a secret."""
        needles = Needles(self.secrets)
        found = leaks_below(self.folder, needles)
        for runtime in self.runtimes:
            found |= leaks_below(runtime.run.folder, needles)
        if piece := needles.leaks("\n".join([*self.said, log]).encode()):
            found["log"] = piece
        return found


@pytest.fixture
def recorder(tmp_path, monkeypatch):
    made = Recorder(tmp_path, monkeypatch)
    yield made
    for runtime in made.runtimes:
        runtime.run.close()


def ask(desk, request, scope, response, pieces=1):
    """Ask, and answer with *response* in so many chunks; whether it went to the provider."""
    action = desk.begin(request, scope)
    if isinstance(action, Serve):
        return action.response
    assert isinstance(action, Forward), action
    desk.upstream.received.append(request)
    action.recorder.head(response.status, response.headers)
    step = -(-len(response.body) // pieces) or 1
    for at in range(0, len(response.body), step):
        action.recorder.chunk(response.body[at : at + step])
    action.recorder.end()
    return response


def scope_for(number):
    """A test that passes, a script's, or a test that fails: then its answers stay pending."""
    return Scope() if number % 3 == 1 else a_test(f"tests/test_a.py::test_{number}")


def record(recorder, samples, pack):
    """Record every kind of exchange for each (grammar, seed); all that was asked, and the desk."""
    desk = recorder.desk("fallback")
    asked = []
    for number, (grammar, seed) in enumerate(samples):
        scope = scope_for(number)
        told = recorder.told(grammar, seed, pack=pack)
        requests = requests_with(told, number)
        responses = responses_with(told)
        for kind, request in requests.items():
            live = ask(desk, request, scope, responses[kind], pieces=1 + number % 7)
            assert live is responses[kind]
        if number % 3 == 0:
            desk.passed(scope)
        asked.append(requests)
    return desk, asked


def replay(recorder, samples, asked, pack, *, other):
    """The misses of a new run that asks the same, or with *other* secrets in their places.

    A value can't be another one: it stands in the fixed places, too.
    """
    missed = []
    desk = recorder.desk("fallback")
    for number, (grammar, seed) in enumerate(samples):
        requests = asked[number]
        if grammar.by == VALUE and other:
            continue
        if other or grammar.by == VALUE:
            told = recorder.told(grammar, seed, other=other, pack=pack)
            requests = requests_with(told, number)
        for kind, request in requests.items():
            action = desk.begin(request, scope_for(number))
            if isinstance(action, Forward):
                action.recorder.fail()
                missed.append(f"{grammar}: {kind}")
    return missed


def check_everywhere(recorder, samples, caplog, pack=1):
    """Record, replay, commit, look at every byte; how many secrets and exchanges there were."""
    with caplog.at_level(logging.INFO, "cas_llm"):
        desk, asked = record(recorder, samples, pack)
        assert [problem.detail for problem in desk.log.problems] == []
        sent = [request for requests in asked for request in requests.values()]
        assert recorder.upstream.received == sent
        secrets = len(set(recorder.secrets))
        for other in (False, True):
            assert replay(recorder, samples, asked, pack, other=other) == []
    recorder.close()
    recorder.commit()
    assert recorder.leaks(caplog.text) == {}
    return secrets, len(sent)


@pytest.mark.parametrize("sort", SORTS)
def test_no_secret_is_written_in_any_place(recorder, caplog, sort):
    """Nothing of it is in any file, the upstream saw it, and its requests hit, as do their like."""
    samples = [(grammar, seed) for grammar in SORTS[sort] for seed in range(FEW)]
    secrets, exchanges = check_everywhere(recorder, samples, caplog)
    print(f"{len(SORTS[sort])} formats, {secrets} secrets in {exchanges} exchanges: 0 on disk")


@pytest.mark.slow
@pytest.mark.parametrize("grammar", GRAMMARS, ids=str)
def test_no_secret_of_many_is_written_in_any_place(recorder, caplog, grammar):
    """Many of the format in every place, some at a time."""
    pack = 2 if len(grammar.secret(0).told) > 200 else 10
    samples = [(grammar, seed) for seed in range(MANY if grammar.by == VALUE else MANY // pack)]
    secrets, exchanges = check_everywhere(recorder, samples, caplog, pack)
    print(f"{grammar}: {secrets} secrets in {exchanges} exchanges: 0 on disk, 0 misses")


def cuts_of(recorder, grammar, seeds):
    """Each secret of the seeds at each place it can be cut at: (what is told, where)."""
    cuts = []
    for seed in seeds:
        made = grammar.secret(f"cut {seed}")
        recorder.secrets.append(made.text)
        step = 1 if len(made.told) < 200 else 7
        cuts += [(made.told, at) for at in range(0, len(made.told) + 1, step)]
    return cuts


def check_splits(recorder, grammar, seeds, kinds):
    """Record a stream of each kind in which every secret is cut everywhere; how many cuts."""
    desk, count = recorder.desk("fallback"), 0
    for number, kind in enumerate(kinds):
        cuts = cuts_of(recorder, grammar, seeds(number))
        body = stream(DELTAS[kind], cuts)
        request = chat(f"{grammar} {kind} {number}", stream=True)
        scope = scope_for(number)
        ask(desk, request, scope, Response(200, EVENTS, body), pieces=1 + 13 * number)
        if number % 3 == 0:
            desk.passed(scope)
        assert [problem.detail for problem in desk.log.problems] == []
        again = desk.begin(request, scope_for(number))
        texts = [json.loads(line[6:]) for line in again.response.body.decode().splitlines() if line]
        assert len(texts) == 2 * len(cuts)
        said = "".join(text for value in texts for text in strings_of(value))
        assert said.count("[cas-llm:") == len(cuts)
        count += len(cuts)
    recorder.close()
    recorder.commit()
    assert recorder.leaks() == {}
    return count


@pytest.mark.parametrize("grammar", SPLIT, ids=str)
def test_a_secret_cut_anywhere_over_two_deltas_is_not_written(recorder, grammar):
    """At every place, in every family's deltas, under any transport chunks; streams still parse."""
    count = check_splits(recorder, grammar, lambda number: [number], DELTAS)
    print(f"{grammar}: cut at {count} places in {len(DELTAS)} sorts of deltas: 0 on disk")


@pytest.mark.slow
@pytest.mark.parametrize("grammar", [g for g in GRAMMARS if g.by != VALUE], ids=str)
def test_many_secrets_cut_anywhere_are_not_written(recorder, grammar):
    """Each at every place, in the deltas of one family after another."""
    kinds = [kind for _ in range(3) for kind in DELTAS]
    share = -(-MANY // len(kinds))
    kinds = kinds[: -(-MANY // share)]
    count = check_splits(
        recorder, grammar, lambda n: range(n * share, min(n * share + share, MANY)), kinds
    )
    print(f"{grammar}: {len(set(recorder.secrets))} secrets cut at {count} places: 0 on disk")


SUITE = """
    import json, os

    TEXTS = json.loads(os.environ["MATERIAL"])

    def test_one():
        ask(TEXTS["first"])

    def test_that_fails():
        ask(TEXTS["second"])
        raise AssertionError("not yet")
"""


def test_no_secret_is_in_what_pytest_writes(project, provider):
    """A run that passes, one that fails and one that misses: output, JUnit, report, last run."""
    inner = Inner(project, provider)
    inner.tests(SUITE)
    project.file(".gitignore", "junit.xml\n")
    made = {g.name: [g.secret(f"pytest {n}") for n in range(3)] for g in (*PROVIDERS, *SERVICES)}
    secrets = [secret.text for group in made.values() for secret in group]
    texts = [f"{n}\n" + "\n".join(group[n].told for group in made.values()) for n in range(3)]
    junit = project.home / "junit.xml"
    flags = ("-vv", f"--junitxml={junit}", "--cas-llm-report=report.json", "-o", "log_level=INFO")
    said = []

    def run(first, second, *args, **outcomes):
        material = {"first": first, "second": second}
        result = inner.run(*flags, *args, env={"MATERIAL": json.dumps(material)}, **outcomes)
        said.extend((result.text, junit.read_text(), project.read("report.json")))

    run(texts[0], texts[1], FALLBACK, passed=1, failed=1)
    assert secrets[0] in provider.calls[0].json["messages"][0]["content"]
    run(texts[0], texts[1], passed=1, failed=1)
    run(texts[2], texts[1], failed=2)
    assert provider.count == 2
    last = project.path / "cache_store" / ".local" / "last-run.json"
    assert "[cas-llm:" in last.read_text()
    project.commit()
    needles = Needles(secrets)
    assert needles.leaks("\n".join(said).encode()) is None
    assert leaks_below(project.path.parent, needles) == {}
    print(f"{len(secrets)} secrets in 3 runs of pytest: 0 in files, output and reports")
