"""Switching cas-llm on and off: blocks, decorators, the whole process."""

import asyncio
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import httpx2
import pytest

import cas_llm
from cas_llm.session.bindings import current

ROOT = Path(cas_llm.__file__).parents[1]


@pytest.fixture
def store(tmp_path):
    """A store that nothing else knows of."""
    return tmp_path / "cache_store"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A working directory with no project around it."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def client():
    """A client built before anything is switched on."""
    with httpx.Client() as client:
        yield client


@pytest.fixture
def ask(provider, client):
    """``ask(text)`` gives what the provider says, or the status where it is an error."""

    def ask(text="hi", client=client, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        response = client.post(f"{provider.url}/chat/completions", json=body(text), headers=headers)
        return text_of(response)

    return ask


@pytest.fixture
def ask_async(provider):
    """The same for a coroutine."""

    async def ask(text="hi"):
        async with httpx.AsyncClient() as client:
            return text_of(await client.post(f"{provider.url}/chat/completions", json=body(text)))

    return ask


def body(text):
    """A chat completion's request body."""
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}


def text_of(response):
    """What was said, or the status."""
    if response.status_code != 200:
        return response.status_code
    return response.json()["choices"][0]["message"]["content"]


def tapes(store):
    """The scopes that have a tape."""
    paths = (store / "manifest" / "tapes").rglob("*.json")
    return sorted(json.loads(path.read_text())["scope"] for path in paths)


def test_a_block_records_and_replays(store, ask, provider):
    """What one block recorded the next one replays, without a call."""
    with cas_llm.use("fallback", store=store):
        first = ask()
    with cas_llm.use("replay", store=store):
        assert ask() == first
    assert provider.count == 1


def test_outside_a_block_nothing_is_recorded(store, ask, provider):
    """Before and after, calls are calls."""
    ask()
    with cas_llm.use("fallback", store=store):
        ask()
    assert ask() != ask()
    assert provider.count == 4


async def test_an_async_block_records_and_replays(store, ask_async, provider):
    """`async with` is the same."""
    async with cas_llm.use("fallback", store=store):
        first = await ask_async()
    async with cas_llm.use("replay", store=store):
        assert await ask_async() == first
    assert provider.count == 1


def test_a_decorated_function_runs_in_a_block_each_time(store, ask, provider):
    """The function keeps its name, arguments and result."""

    @cas_llm.use("fallback", store=store)
    def question(text, *, twice=False):
        """Ask."""
        return ask(text + text if twice else text)

    assert question("a", twice=True).endswith("aa")
    assert question("a", twice=True).endswith("aa")
    assert (question.__name__, question.__doc__, provider.count) == ("question", "Ask.", 1)
    assert current() is None


async def test_a_decorated_coroutine_runs_in_a_block_each_time(store, ask_async, provider):
    """Also when it is called again while it runs: each call has its own block."""

    @cas_llm.use("fallback", store=store)
    async def question(text, wait):
        first = await ask_async(text)
        await asyncio.sleep(wait)
        return first, await ask_async(f"{text} again")

    found = await asyncio.gather(question("a", 0.1), question("b", 0.02), question("c", 0.06))
    assert provider.count == 6
    assert await asyncio.gather(question("a", 0), question("b", 0), question("c", 0)) == found
    assert provider.count == 6
    assert current() is None


def test_a_decorated_function_may_run_in_threads_at_once(store, ask):
    """A call that began first and ends first doesn't close another one's block."""
    running, over = threading.Event(), threading.Event()

    @cas_llm.use("fallback", name="question", store=store)
    def question(text):
        mine = current()
        if text == "first":
            assert running.wait(5)
        else:
            running.set()
            assert over.wait(5)
        return ask(text), current() is mine

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(question, "first")
        second = pool.submit(question, "second")
        assert first.result()[1]
        over.set()
        assert second.result()[1]
    assert current() is None
    assert tapes(store) == ["use::question"] * 2


def test_a_decorated_function_may_call_itself(store, ask):
    """Its blocks nest."""

    @cas_llm.use("fallback", store=store)
    def down(depth):
        return [ask(str(depth)), *(down(depth - 1) if depth else [])]

    assert len(down(2)) == 3
    assert current() is None


def test_an_inner_blocks_mode_holds_inside_it_only(store, ask, provider):
    """The outer block's comes back."""
    with cas_llm.use("replay", store=store):
        with cas_llm.use("fallback", store=store):
            first = ask()
        assert ask() == first
        with cas_llm.expect_miss():
            assert ask("other") == 424
    assert provider.count == 1


def test_a_named_block_has_a_tape_of_its_own(store, ask):
    """It is written when the block ends."""
    with cas_llm.use("fallback", name="demo", store=store):
        ask()
        assert tapes(store) == []
    assert tapes(store) == ["use::demo"]
    with cas_llm.use("replay", name="demo", store=store) as session:
        ask()
    assert session.runtime.log.sums.missed == 0


def test_a_named_block_that_fails_writes_no_tape(store, ask, provider):
    """Its answers wait, and the next one that passes needs no call."""
    with pytest.raises(ZeroDivisionError), cas_llm.use("fallback", name="demo", store=store):
        ask()
        1 / 0  # noqa: B018
    assert tapes(store) == []
    with cas_llm.use("fallback", name="demo", store=store):
        ask()
    assert (tapes(store), provider.count) == (["use::demo"], 1)


def test_a_named_block_captures_a_sequence(store, ask, provider):
    """One prompt twice in CAPTURE is two answers, and replays as two; a third is refused."""
    with cas_llm.use("capture", name="demo", store=store):
        both = [ask(), ask()]
    assert both[0] != both[1]
    with cas_llm.use("replay", name="demo", store=store):
        assert [ask(), ask()] == both
        with cas_llm.expect_miss() as missed:
            assert ask() == 424
    assert missed[0].kind == "exhausted"


def test_two_openings_of_a_named_block_count_from_one(store, ask, provider):
    """The second opening of a block is no continuation of the first."""
    with cas_llm.use("capture", name="demo", store=store):
        both = [ask(), ask()]
    for _ in range(3):
        with cas_llm.use("replay", name="demo", store=store):
            assert [ask(), ask()] == both
    assert provider.count == 2


def test_live_means_disabled(store, ask, provider):
    """Calls, stores nothing, whatever is recorded."""
    with cas_llm.use("fallback", store=store):
        ask()
    with cas_llm.use(live=True, store=store):
        assert ask() != ask()
    assert provider.count == 3
    assert len(list(store.glob("objects/*/*.json"))) == 1


def test_the_environment_outranks_the_block(store, ask, provider, monkeypatch):
    """The run says what it wants, code states the default."""
    monkeypatch.setenv("CAS_LLM_MODE", "replay")
    with cas_llm.use("fallback", store=store), cas_llm.expect_miss():
        assert ask() == 424
    assert provider.count == 0


def test_settings_of_the_block_override(store, ask, provider):
    """Namespace, repeat and exhausted as the settings of the same name."""
    with cas_llm.use("fallback", store=store, namespace="a", repeat="each"):
        both = [ask(), ask()]
    with cas_llm.use("replay", store=store, namespace="a", exhausted="cycle"):
        assert [ask(), ask(), ask()] == [*both, both[0]]
    with cas_llm.use("replay", store=store), cas_llm.expect_miss():
        assert ask() == 424
    assert provider.count == 2


def test_a_normaliser_of_the_block_makes_requests_alike(store, ask, provider):
    """Named rules may be given for one block."""
    with cas_llm.use("fallback", store=store, normalise=["casefold"]):
        assert ask("HELLO") == ask("hello")
    assert provider.count == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "replya"}, r"use\(\): unknown mode 'replya': did you mean 'replay'\?"),
        ({"repeat": "twice"}, r"use\(\): repeat must be one of 'once', 'each', not 'twice'"),
        ({"exhausted": "stop"}, r"use\(\): exhausted must be one of 'miss', 'last', 'cycle'"),
        ({"normalise": ["no-such-rule"]}, r"no-such-rule"),
        ({"hosts": [5]}, r"use\(\): hosts must"),
        ({"mode": "replay", "live": True}, r"use\(\): live=True means mode='disabled'"),
        ({"mode": 5}, r"use\(\): mode must be text, not 5"),
        ({"store": ""}, r"use\(\): store must be the path of a folder, not ''"),
        ({"store": 5}, r"use\(\): store must be the path of a folder, not 5"),
        (
            {"store": __file__},
            r"use\(\): store must be a folder, and .*test_activation.py is a file",
        ),
        ({"normalise": 5}, r"use\(\): normalise must be a list"),
        ({"namespace": 5}, r"use\(\): namespace must be text"),
        ({"name": 5}, r"use\(\): name must be text that is not empty, not 5"),
        ({"name": ""}, r"use\(\): name must be text that is not empty, not ''"),
    ],
)
def test_a_bad_value_is_one_clear_error(elsewhere, options, message):
    """It names the setting, what it may be and where it stands; nothing is switched on."""
    with pytest.raises(cas_llm.ConfigError, match=message), cas_llm.use(**options):
        pytest.fail("the block ran")
    assert current() is None
    assert "CAS_LLM_SESSION" not in os.environ


def test_a_swallowed_miss_raises_when_the_block_ends(store, ask):
    """The app went on with its 424; the block does not let that pass."""
    with (
        pytest.raises(cas_llm.CacheMiss, match="cas-llm: not recorded") as caught,
        cas_llm.use("replay", store=store),
    ):
        assert ask() == 424
        assert ask("other") == 424
    assert [miss.ask for miss in caught.value.misses] == ["hi", "other"]
    assert "1 more" in str(caught.value)


def test_an_exception_of_the_block_is_not_masked(store, ask):
    """What the program raised comes out, miss or no miss."""
    with pytest.raises(ZeroDivisionError), cas_llm.use("replay", store=store):
        ask()
        1 / 0  # noqa: B018


def test_a_miss_in_an_inner_unnamed_block_is_raised_once(store, ask):
    """By the outermost block of the scope it belongs to."""
    with pytest.raises(cas_llm.CacheMiss), cas_llm.use("replay", store=store):
        with cas_llm.use("replay", store=store):
            ask()
        after = "reached"
    assert after == "reached"


def test_expected_misses_do_not_count(store, ask):
    """Neither against the block nor in the run's numbers."""
    with cas_llm.use("replay", store=store) as session, cas_llm.expect_miss() as missed:
        missed_before = session.runtime.log.sums.missed
        ask()
    assert [miss.ask for miss in missed] == ["hi"]
    assert session.runtime.log.sums.missed == missed_before
    assert session.runtime.log.problems == []


def test_an_expected_miss_that_does_not_come_fails(store, ask):
    """A test that wants a miss must get one."""
    with cas_llm.use("fallback", store=store):
        ask()
        with (
            pytest.raises(AssertionError, match="every request had a recording"),
            cas_llm.expect_miss(),
        ):
            ask()


def test_an_exception_in_expect_miss_is_not_masked(store, ask):
    """The SDK's own error comes out of the block, and the miss is still the expected one."""
    with (
        cas_llm.use("replay", store=store),
        pytest.raises(ZeroDivisionError),
        cas_llm.expect_miss() as missed,
    ):
        ask()
        1 / 0  # noqa: B018
    assert len(missed) == 1


def test_a_mock_answers_in_this_scope(store, ask, provider):
    """Text, JSON or bytes; nothing is stored and nothing is called."""
    url = f"{provider.url}/chat/completions"
    kind = (("content-type", "application/json"),)
    from cas_llm.wire import Request

    with cas_llm.use("replay", store=store):
        request = Request("POST", url, kind, json.dumps(body("hi")).encode())
        cas_llm.mock(request, "mocked")
        assert ask() == "mocked"
        cas_llm.mock(request, {"error": {"message": "busy"}}, status=503)
        assert ask() == 503
        with cas_llm.expect_miss():
            assert ask("other") == 424
    with cas_llm.use("replay", store=store), cas_llm.expect_miss():
        assert ask() == 424
    assert (provider.count, store.exists()) == (0, False)


def test_costs_are_the_runs_sums(store, ask):
    """Live and served calls, and what they cost."""
    with cas_llm.use("fallback", store=store):
        ask()
        ask()
        sums = cas_llm.costs()
    assert (sums.live, sums.served) == (1, 1)


@pytest.mark.parametrize("call", [cas_llm.costs, lambda: cas_llm.set_mode("replay")])
def test_without_a_block_there_is_nothing_to_ask(call):
    """The error says what to switch on."""
    with pytest.raises(cas_llm.ConfigError, match=r"install\(\)"):
        call()


def test_installing_holds_until_uninstalled(store, ask, provider):
    """In every thread; installing again replaces what was installed."""
    cas_llm.install("fallback", store=store)
    try:
        first = ask()
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(ask).result() == first
        cas_llm.install("replay", store=store)
        assert ask() == first
    finally:
        cas_llm.uninstall()
    cas_llm.uninstall()
    assert ask() != first
    assert provider.count == 2


def test_uninstalling_after_a_swallowed_miss_raises_it(store, ask):
    """As leaving a block does, and everything is off all the same."""
    cas_llm.install("replay", store=store)
    ask()
    with pytest.raises(cas_llm.CacheMiss):
        cas_llm.uninstall()
    assert current() is None


def test_set_mode_changes_what_holds_here_and_in_children(store, ask, provider):
    """Later requests, and later children, go by the new mode."""
    with cas_llm.use("fallback", store=store):
        first = ask()
        cas_llm.set_mode("replay")
        assert json.loads(os.environ["CAS_LLM_SESSION"])["mode"] == "replay"
        assert ask() == first
        with cas_llm.expect_miss():
            assert ask("other") == 424
    assert provider.count == 1


def patched():
    """Every attribute that cas-llm replaces while it is on."""
    return [
        httpx.HTTPTransport.handle_request,
        httpx.AsyncHTTPTransport.handle_async_request,
        httpx2.HTTPTransport.handle_request,
        httpx2.AsyncHTTPTransport.handle_async_request,
        socket.getaddrinfo,
        socket.socket.connect,
        ssl.SSLSocket.write,
        ssl.SSLContext.wrap_socket,
        threading.Thread.start,
        ThreadPoolExecutor.submit,
    ]


def test_after_the_last_exit_everything_is_as_it_was(store, ask):
    """The very same objects, the environment and the import hooks too."""
    before, hooks, environment = patched(), list(sys.meta_path), dict(os.environ)
    with cas_llm.use("fallback", store=store):
        with cas_llm.use("replay", store=store):
            during = patched()
        assert all(a is b for a, b in zip(during, patched(), strict=True))
        ask()
    assert sum(a is not b for a, b in zip(before, during, strict=True)) >= 8
    assert all(a is b for a, b in zip(before, patched(), strict=True))
    assert sys.meta_path == hooks
    assert dict(os.environ) == environment


def test_a_failing_block_leaves_everything_as_it_was(store, ask):
    """The same after an exception, and after a miss."""
    before = patched()
    for error in (ZeroDivisionError, cas_llm.CacheMiss):
        with pytest.raises(error), cas_llm.use("replay", store=store):
            ask()
            if error is ZeroDivisionError:
                1 / 0  # noqa: B018
    assert all(a is b for a, b in zip(before, patched(), strict=True))
    assert current() is None


def test_importing_the_package_imports_next_to_nothing():
    """Neither an SDK, nor an HTTP library, nor the command line, nor SQLite."""
    heavy = ["openai", "httpx", "httpx2", "typer", "rich", "sqlite3", "genai_prices", "asyncio"]
    program = f"import sys, cas_llm; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_switching_on_imports_no_sdk(tmp_path):
    """A block around code that uses no LLM costs no import of one."""
    heavy = ["openai", "httpx", "httpx2", "typer", "rich", "genai_prices", "detect_secrets"]
    program = (
        "import sys, cas_llm\n"
        f"with cas_llm.use('replay', store={str(tmp_path / 's')!r}): pass\n"
        f"print([n for n in {heavy} if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", cas_llm.__all__)
def test_every_public_name_resolves(name):
    """All that `__all__` promises is there."""
    assert getattr(cas_llm, name) is not None
    assert name in dir(cas_llm)


def test_the_public_names_are_sorted_and_complete():
    """One list, in order, that says all there is."""
    assert sorted(cas_llm.__all__) == list(cas_llm.__all__)
    assert set(cas_llm.__all__) == set(cas_llm._HOME)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = cas_llm.no_such_name


def test_a_normaliser_may_be_given_as_text(store, ask, provider):
    """One name, as the table takes it."""
    with cas_llm.use("fallback", store=store, normalise="casefold"):
        assert ask("HELLO") == ask("hello")
    assert provider.count == 1


def test_a_decorated_generator_runs_in_its_block(store, ask, provider):
    """From its first value to its end, and what it is sent and returns comes through."""

    @cas_llm.use("fallback", store=store)
    def questions():
        sent = yield ask("one")
        return ask(sent)

    found = []
    for _ in range(2):
        running = questions()
        first = next(running)
        with pytest.raises(StopIteration) as ended:
            running.send("two")
        found.append((first, ended.value.value))
    assert found[0] == found[1]
    assert provider.count == 2
    assert current() is None


async def test_a_decorated_async_generator_runs_in_its_block(store, ask_async, provider):
    """Left early, its block ends with it."""

    @cas_llm.use("fallback", store=store)
    async def questions():
        yield await ask_async("one")
        yield await ask_async("two")

    found = [[said async for said in questions()] for _ in range(2)]
    assert found[0] == found[1]
    assert provider.count == 2
    running = questions()
    await anext(running)
    await running.aclose()
    assert current() is None


def test_a_class_is_not_decorated():
    """Its methods would run outside the block: the error says what to use."""
    with pytest.raises(cas_llm.ConfigError, match=r"use @pytest\.mark\.cas_llm"):

        @cas_llm.use("replay")
        class Question:
            pass


def test_the_environments_settings_outrank_the_blocks(store, ask, provider, monkeypatch, tmp_path):
    """The store, too: the run says where, code states the default."""
    monkeypatch.setenv("CAS_LLM_STORE", str(tmp_path / "run"))
    monkeypatch.setenv("CAS_LLM_NAMESPACE", "run")
    with cas_llm.use("fallback", store=store, namespace="code") as session:
        ask()
    assert (session.settings.store, session.settings.namespace) == (tmp_path / "run", "run")
    assert not store.exists()


def test_hosts_of_the_block_are_added_to_the_tables(store, elsewhere):
    """A host the project named stays one."""
    Path("pyproject.toml").write_text('[tool.cas-llm]\nhosts = ["a.example"]\n')
    with cas_llm.use("replay", store=store, hosts=["b.example"]) as session:
        assert set(session.settings.hosts) == {"a.example", "b.example"}


@pytest.mark.parametrize(
    ("options", "headers", "says"),
    [
        ({}, {"x_cas_llm_mode": "replya"}, "unknown mode 'replya'"),
        ({"normalise": ["no.such:rule@1"]}, {}, "can't be imported"),
        ({"normalise": ["json:loads@1"]}, {}, "TypeError: "),
    ],
)
def test_a_setting_no_request_can_be_read_with_is_no_connection_error(
    store, ask, provider, options, headers, says
):
    """The request gets a 424 and is not made; the block ends with what is wrong."""
    with (
        pytest.raises(cas_llm.CacheMiss, match="cas-llm: bad setting") as ended,
        cas_llm.use("fallback", store=store, **options),
    ):
        assert ask(**headers) == 424
    assert says in str(ended.value)
    assert [problem.kind for problem in ended.value.misses] == ["bad setting"]
    assert provider.count == 0


def test_an_sdk_shows_a_bad_setting_at_once(store, provider):
    """No retry, and the text itself instead of `Connection error.`"""
    openai = pytest.importorskip("openai")
    asked = {"x-cas-llm-mode": "replya"}
    with (
        pytest.raises(cas_llm.CacheMiss) as ended,
        cas_llm.use("fallback", store=store),
        openai.OpenAI(base_url=provider.url, api_key="none", max_retries=2) as client,
        pytest.raises(openai.APIStatusError, match="unknown mode 'replya'"),
    ):
        client.chat.completions.create(**body("hi"), extra_headers=asked)
    assert len(ended.value.misses) == 1


def test_replay_needs_no_key(store, provider, monkeypatch):
    """An SDK's client is built without one, and the environment is as before afterwards."""
    openai = pytest.importorskip("openai")
    monkeypatch.setenv("GROQ_API_KEY", "mine")

    def say():
        with openai.OpenAI(base_url=provider.url) as client:
            return client.chat.completions.create(**body("hi")).choices[0].message.content

    with monkeypatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "none")
        with cas_llm.use("fallback", store=store):
            first = say()
    before = dict(os.environ)
    outer, inner = (cas_llm.use("replay", store=store) for _ in range(2))
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert say() == first
    assert os.environ["GROQ_API_KEY"] == "mine"
    inner.__exit__(None, None, None)
    assert dict(os.environ) == before
    with cas_llm.use("fallback", store=store):
        assert "OPENAI_API_KEY" not in os.environ


def test_stand_ins_for_keys_can_be_switched_off(store, monkeypatch):
    """placeholder_keys holds for blocks, too."""
    monkeypatch.setenv("CAS_LLM_PLACEHOLDER_KEYS", "0")
    with cas_llm.use("replay", store=store):
        assert "OPENAI_API_KEY" not in os.environ
