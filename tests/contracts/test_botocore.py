"""Bedrock through boto3: signed requests, binary streams, botocore's own retries, no keys."""

import json
import os

import pytest
from support.bedrock_answers import bedrock
from support.provider import Reply

import cas_llm
from cas_llm.session.policy import PLACEHOLDER

boto3 = pytest.importorskip("boto3")

import botocore.exceptions  # noqa: E402 - it comes with boto3
from botocore.config import Config  # noqa: E402

MODEL = "anthropic.claude-3-haiku-20240307-v1:0"
HELLO = [{"role": "user", "content": [{"text": "hello"}]}]
INVOKED = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "hello"}],
}
OFTEN = Config(retries={"max_attempts": 4, "mode": "standard"})

# What cas-llm does in botocore's thread must not be seen; what botocore itself does may be.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


@pytest.fixture
def provider(provider):
    """A provider that knows Bedrock's answers."""
    provider.script(bedrock)
    return provider


def secret(letter):
    """A made-up secret key."""
    return letter * 40


def client(provider, letter="s", **more):
    """A client with credentials of its own; the secret signs and is never sent."""
    return boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=provider.root,
        aws_access_key_id="AKIA" + letter.upper() * 16,
        aws_secret_access_key=secret(letter),
        aws_session_token=letter * 60,
        **more,
    )


def told(answer):
    """An answer without what botocore says of the way it came."""
    meta = answer.pop("ResponseMetadata")
    return answer, meta["HTTPStatusCode"], meta.get("RequestId"), meta["RetryAttempts"]


def converse(c):
    return told(c.converse(modelId=MODEL, messages=HELLO))


def converse_stream(c):
    answer = c.converse_stream(modelId=MODEL, messages=HELLO)
    events = list(answer.pop("stream"))
    return events, told(answer)[1]


def invoke(c):
    answer = c.invoke_model(modelId=MODEL, body=json.dumps(INVOKED))
    body = answer.pop("body").read()
    return body, told(answer)


def invoke_stream(c):
    answer = c.invoke_model_with_response_stream(modelId=MODEL, body=json.dumps(INVOKED))
    return [event["chunk"]["bytes"] for event in answer["body"]]


FEATURES = [converse, converse_stream, invoke, invoke_stream]
each = pytest.mark.parametrize("ask", FEATURES, ids=lambda ask: ask.__name__)


def stored(store):
    """All that lies in the store, as text."""
    read = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
    return read.decode("utf-8", "replace")


@each
def test_a_feature_records_and_replays(provider, store, ask):
    """One call; then the same events, with other credentials and at another time."""
    with cas_llm.use("fallback", store=store):
        recorded = ask(client(provider))
    assert recorded
    assert provider.count == 1
    assert "AWS4-HMAC-SHA256" in provider.calls[0].headers["authorization"]
    with cas_llm.use("replay", store=store):
        assert ask(client(provider, "t")) == recorded
    assert provider.count == 1
    text = stored(store)
    assert "AWS4-HMAC-SHA256" not in text
    assert "bedrock@loopback" in text
    for letter in "st":
        assert letter * 40 not in text
        assert letter.upper() * 16 not in text


def test_what_is_said_is_read_from_the_frames(provider, store):
    """The tape shows a reviewer the words of a binary stream."""
    with cas_llm.use("fallback", store=store, name="said"):
        converse_stream(client(provider))
    (tape,) = store.glob("manifest/tapes/**/*.json")
    assert "Hällo 🎈 1" in tape.read_text("utf-8")


def test_frames_keep_their_boundaries(provider, store):
    """Byte for byte, chunk for chunk: what the framing's checksums need."""
    with cas_llm.use("fallback", store=store):
        recorded = converse_stream(client(provider))
    chunks = provider._reply(provider.calls[0]).chunks
    (answer,) = store.glob("objects/*/*.json")
    lengths = json.loads(answer.read_text())["chunks"]["lengths"]
    assert lengths.split() == [str(len(chunk)) for chunk in chunks]
    assert len(recorded[0]) == len(chunks)


def test_a_stream_left_early_replays_as_far(provider, store):
    """Two events, then it is closed; the same program is served, one that reads on is not."""

    def two(c):
        stream = c.converse_stream(modelId=MODEL, messages=HELLO)["stream"]
        events = iter(stream)
        found = [next(events), next(events)]
        stream.close()
        return found

    with cas_llm.use("fallback", store=store):
        recorded = two(client(provider))
    with cas_llm.use("replay", store=store):
        assert two(client(provider)) == recorded
    with pytest.raises(cas_llm.CacheMiss, match="left early"), cas_llm.use("replay", store=store):
        converse_stream(client(provider))
    assert provider.count == 1


@each
def test_a_miss_is_not_retried(provider, store, ask):
    """botocore tries four times; a miss reaches the program at the first."""
    c = client(provider, config=OFTEN)
    with (
        pytest.raises(cas_llm.CacheMiss) as ended,
        cas_llm.use("replay", store=store),
        pytest.raises(botocore.exceptions.ClientError, match="not recorded") as caught,
    ):
        ask(c)
    meta = caught.value.response["ResponseMetadata"]
    assert (meta["HTTPStatusCode"], meta["RetryAttempts"]) == (424, 0)
    assert len(ended.value.misses) == 1
    assert provider.count == 0


def test_a_throttled_call_is_tried_again_and_kept_once(provider, store):
    """botocore's own retries are its business; only the answer is stored."""
    busy = Reply.of({"message": "slow down"}, 429, x_amzn_errortype="ThrottlingException")
    provider.script(lambda received: busy if received.number == 1 else bedrock(received))
    with cas_llm.use("fallback", store=store):
        recorded = converse(client(provider, config=OFTEN))
    assert (provider.count, recorded[3]) == (2, 1)
    with cas_llm.use("replay", store=store):
        assert converse(client(provider, config=OFTEN))[0] == recorded[0]
    assert provider.count == 2


def test_a_recorded_error_is_the_same_exception(provider, store, monkeypatch):
    """The error's type travels in a header, which is kept."""
    monkeypatch.setenv("CAS_LLM_RECORD_ERRORS", "400")
    wrong = Reply.of({"message": "no such model"}, 400, x_amzn_errortype="ValidationException")
    provider.script(lambda _: wrong)
    for mode in ("fallback", "replay"):
        c = client(provider)
        with cas_llm.use(mode, store=store), pytest.raises(c.exceptions.ValidationException):
            converse(c)
    assert provider.count == 1


def test_replay_needs_no_credentials(provider, store, monkeypatch):
    """Stand-ins for Amazon's pair of keys let botocore sign its request; they never leave."""
    with cas_llm.use("fallback", store=store):
        recorded = converse(client(provider))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with cas_llm.use("replay", store=store):
        bare = boto3.client(
            "bedrock-runtime", region_name="eu-central-1", endpoint_url=provider.root
        )
        assert converse(bare) == recorded
    assert provider.count == 1


def test_a_stand_in_never_leaves(provider, store):
    """A live call with it is refused, and says what to set."""
    c = boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=provider.root,
        aws_access_key_id=PLACEHOLDER,
        aws_secret_access_key=PLACEHOLDER,
    )
    with (
        pytest.raises(cas_llm.CacheMiss, match="is not set"),
        cas_llm.use("fallback", store=store),
        pytest.raises(botocore.exceptions.ClientError),
    ):
        converse(c)
    assert provider.count == 0


@pytest.mark.parametrize(
    "variable", ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"]
)
def test_credentials_that_are_there_stay_alone(store, monkeypatch, variable):
    """A test may well use another of Amazon's services for real."""
    monkeypatch.setenv(variable, "mine")
    before = {name for name in os.environ if name.startswith("AWS_")}
    with cas_llm.use("replay", store=store):
        assert {name for name in os.environ if name.startswith("AWS_")} == before


@pytest.mark.parametrize(
    ("text", "found"), [("[default]\nregion = x", False), ("sso_session = a", True)]
)
def test_a_profile_on_disk_stays_alone(store, monkeypatch, tmp_path, text, found):
    """A file that only names a region is no credential."""
    (tmp_path / "config").write_text(text)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with cas_llm.use("replay", store=store):
        assert ("AWS_ACCESS_KEY_ID" in os.environ) is not found


def test_a_client_of_amazons_own_host_is_refused_before_any_look_up(store):
    """Nothing has to be configured: the host is known."""
    c = boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        aws_access_key_id="AKIA" + "S" * 16,
        aws_secret_access_key=secret("s"),
    )
    with (
        pytest.raises(cas_llm.CacheMiss) as ended,
        cas_llm.use("replay", store=store),
        pytest.raises(botocore.exceptions.ClientError, match="not recorded"),
    ):
        converse(c)
    assert [miss.kind for miss in ended.value.misses] == ["not recorded"]
