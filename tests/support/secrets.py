"""Secrets of every format, made at run time from grammars: none is written down anywhere.

A `Grammar` says what a secret is made of and what stands around it where the format alone does
not tell it from other text. Equal seeds give equal secrets, and no two seeds the same one.
"""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

ALNUM = string.ascii_letters + string.digits
LOWER = string.ascii_lowercase + string.digits
UPPER = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"
BASE64 = ALNUM + "+/"
URLSAFE = ALNUM + "_-"

FORMAT = "format"
FRAME = "frame"
VALUE = "value"


@dataclass(frozen=True)
class Secret:
    """One secret: its `text` alone, and `told`, the text as it stands in a prompt."""

    text: str
    told: str
    kind: str


@dataclass(frozen=True)
class Grammar:
    """How secrets of one sort are made; `kind` is their class in placeholders.

    `by` says what gives them away: their own format, the `frame` around them, or only the value of
    an environment variable.
    """

    name: str
    kind: str
    make: Callable[[Random], str]
    by: str = FORMAT
    frame: tuple[str, str] = ("", "")

    def secret(self, seed: int) -> Secret:
        """The secret of this sort that *seed* stands for."""
        text = self.make(Random(f"{self.name} {seed}"))
        before, after = self.frame
        return Secret(text, f"{before}{text}{after}", self.kind)

    def __str__(self) -> str:
        return self.name


def drawn(random: Random, letters: str, count: int) -> str:
    """*count* random letters; as in any long key of that alphabet, all its sorts are among them."""
    sorts = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
    first = [random.choice(sort) for sort in sorts if set(sort) & set(letters)]
    first = [letter if letter in letters else letters[0] for letter in first]
    rest = random.choices(letters, k=count - len(first) - 2)
    random.shuffle(body := first + rest)
    plain = [letter for letter in letters if letter.isalnum()]  # no key begins or ends with "-"
    return "".join([random.choice(plain), *body, random.choice(plain)])


def _after(prefix: str, letters: str, count: int, tail: str = "") -> Callable[[Random], str]:
    return lambda random: prefix + drawn(random, letters, count) + tail


def _joined(*pieces: Callable[[Random], str], by: str = "") -> Callable[[Random], str]:
    return lambda random: by.join(piece(random) for piece in pieces)


def _uuid(random: Random) -> str:
    return "-".join(drawn(random, HEX, size) for size in (8, 4, 4, 4, 12))


def _coded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _jwt(random: Random) -> str:
    claims = {"sub": drawn(random, ALNUM, 12), "exp": random.randrange(10**9, 2 * 10**9)}
    head = _coded({"alg": "HS256", "typ": "JWT"})
    return ".".join((head, _coded(claims), drawn(random, URLSAFE, 43)))


def _pem(label: str) -> Callable[[Random], str]:
    def make(random: Random) -> str:
        lines = [drawn(random, BASE64, 64) for _ in range(5)]
        lines.append(drawn(random, BASE64, 38) + "==")
        head, end = f"-----BEGIN {label}KEY-----", f"-----END {label}KEY-----"
        return "\n".join((head, *lines, end))

    return make


def _some(prefix: str, letters: str, count: int) -> Callable[[Random], str]:
    return _after(prefix, letters, count)


PROVIDERS = (
    Grammar("openai", "openai-key", _joined(_some("sk-", ALNUM, 20), _some("T3Blbk" + "FJ", ALNUM, 20))),
    Grammar("openai project", "openai-key", _joined(_some("sk-" + "proj-", URLSAFE, 74), _some("T3Blbk" + "FJ", URLSAFE, 74))),
    Grammar("openai service account", "openai-key", _after("sk-" + "svcacct-", URLSAFE, 58)),
    Grammar("openai admin", "openai-key", _after("sk-" + "admin-", URLSAFE, 58)),
    Grammar("openai realtime", "openai-ephemeral-key", _after("ek" + "_", HEX, 32)),
    Grammar("anthropic", "anthropic-key", _after("sk-" + "ant-api03-", URLSAFE, 93, "AA")),
    Grammar("anthropic admin", "anthropic-key", _after("sk-" + "ant-admin01-", URLSAFE, 93, "AA")),
    Grammar("anthropic oauth", "anthropic-key", _after("sk-" + "ant-oat01-", URLSAFE, 93, "AA")),
    Grammar("google", "google-key", _after("AI" + "za", URLSAFE, 35)),
    Grammar("google agent platform", "google-key", _after("AQ" + ".Ab", URLSAFE, 48)),
    Grammar("google oauth", "google-token", _after("ya" + "29.", URLSAFE, 120)),
    Grammar("google client secret", "google-client-secret", _after("GOC" + "SPX-", URLSAFE, 28)),
    Grammar("azure", "azure-key", _joined(_after("", ALNUM, 52, "JQ" + "QJ99B"), _after("C", ALNUM, 16, "A"), _after("", ALNUM, 7))),
    Grammar("azure search", "azure-key", _joined(_after("", ALNUM, 42, "Az" + "SeB"), _after("", ALNUM, 5))),
    Grammar("groq", "groq-key", _after("gs" + "k_", ALNUM, 52)),
    Grammar("huggingface", "huggingface-token", _after("hf" + "_", ALNUM, 34)),
    Grammar("replicate", "replicate-token", _after("r8" + "_", ALNUM, 37)),
    Grammar("perplexity", "perplexity-key", _after("ppl" + "x-", ALNUM, 48)),
    Grammar("xai", "xai-key", _after("xa" + "i-", ALNUM, 80)),
    Grammar("openrouter", "openrouter-key", _after("sk-" + "or-v1-", HEX, 64)),
    Grammar("together", "together-key", _after("tgp" + "_v1_", URLSAFE, 43)),
    Grammar("fireworks", "fireworks-key", _after("fw" + "_", ALNUM, 24)),
    Grammar("deepseek", "openai-key", _after("sk-", HEX, 32)),
    Grammar("cerebras", "cerebras-key", _after("cs" + "k-", LOWER, 48)),
    Grammar("nvidia", "nvidia-key", _after("nv" + "api-", URLSAFE, 64)),
    Grammar("voyage", "voyage-key", _after("p" + "a-", URLSAFE, 43)),
    Grammar("jina", "jina-key", _joined(_after("ji" + "na_", HEX, 32), _after("", ALNUM, 28))),
    Grammar("elevenlabs", "elevenlabs-key", _after("sk" + "_", HEX, 48)),
    Grammar("pinecone", "pinecone-key", _joined(_after("pc" + "sk_", ALNUM, 6), _after("", ALNUM, 64), by="_")),
    Grammar("llamacloud", "llamacloud-key", _after("ll" + "x-", ALNUM, 48)),
    Grammar("runpod", "runpod-key", _after("rp" + "a_", UPPER, 42)),
    Grammar("firecrawl", "firecrawl-key", _after("fc" + "-", HEX, 32)),
    Grammar("tavily", "tavily-key", _after("tv" + "ly-dev-", ALNUM, 32)),
    Grammar("bedrock", "bedrock-key", _after("AB" + "SK", BASE64, 127, "=")),
    Grammar("langsmith", "langsmith-key", _joined(_after("ls" + "v2_pt_", HEX, 32), _after("", HEX, 10), by="_")),
    Grammar("langfuse", "langfuse-key", _joined(lambda _: "sk-" + "lf-", _uuid)),
    Grammar("databricks", "databricks-token", _after("da" + "pi", HEX, 32)),
    Grammar("weights and biases", "wandb-key", _after("wan" + "db_v1_", URLSAFE, 60)),
)  # fmt: skip

SERVICES = (
    Grammar("aws key id", "aws-key-id", _after("AK" + "IA", UPPER, 16)),
    Grammar("aws temporary key id", "aws-key-id", _after("AS" + "IA", UPPER, 16)),
    Grammar("github", "github-token", _after("gh" + "p_", ALNUM, 36)),
    Grammar("github oauth", "github-token", _after("gh" + "o_", ALNUM, 36)),
    Grammar("github user", "github-token", _after("gh" + "u_", ALNUM, 36)),
    Grammar("github server", "github-token", _after("gh" + "s_", ALNUM, 36)),
    Grammar("github fine-grained", "github-token", _joined(_after("github" + "_pat_", ALNUM, 22), _after("", ALNUM, 59), by="_")),
    Grammar("gitlab", "gitlab-token", _after("gl" + "pat-", URLSAFE, 20)),
    Grammar("slack bot", "slack-token", _joined(_after("xo" + "xb-", string.digits, 12), _after("", string.digits, 12), _after("", ALNUM, 24), by="-")),
    Grammar("slack user", "slack-token", _joined(_after("xo" + "xp-", string.digits, 12), _after("", string.digits, 12), _after("", HEX, 32), by="-")),
    Grammar("slack app", "slack-token", _joined(_after("xa" + "pp-1-A", UPPER, 10), _after("", string.digits, 13), _after("", HEX, 64), by="-")),
    Grammar("stripe", "stripe-key", _after("sk" + "_live_", ALNUM, 24)),
    Grammar("stripe restricted", "stripe-key", _after("rk" + "_live_", ALNUM, 24)),
    Grammar("stripe webhook", "stripe-webhook-secret", _after("wh" + "sec_", ALNUM, 32)),
    Grammar("sendgrid", "sendgrid-key", _joined(_after("S" + "G.", URLSAFE, 22), _after("", URLSAFE, 43), by=".")),
    Grammar("twilio", "twilio-key", _after("S" + "K", HEX, 32)),
    Grammar("npm", "npm-token", _after("np" + "m_", ALNUM, 36)),
    Grammar("pypi", "pypi-token", _after("py" + "pi-AgEIcHlwaS5vcmcC", URLSAFE, 150)),
    Grammar("jwt", "jwt", _jwt),
    Grammar("pem rsa", "pem", _pem("RSA " + "PRIVATE ")),
    Grammar("pem", "pem", _pem("PRIVATE ")),
    Grammar("pem openssh", "pem", _pem("OPENSSH " + "PRIVATE ")),
)  # fmt: skip

FRAMED = (
    Grammar("aws secret", "aws-secret", _after("", BASE64, 40), FRAME, ("aws_secret_access_key = ", "\n")),
    Grammar("aws session token", "aws-session-token", _after("", BASE64, 300, "=="), FRAME, ('"SessionToken": "', '"')),
    Grammar("azure storage", "azure-storage-key", _after("", BASE64, 86, "=="), FRAME, ("AccountName=a;AccountKey=", ";")),
    Grammar("slack webhook", "slack-webhook", _joined(_after("T", UPPER, 9), _after("B", UPPER, 9), _after("", ALNUM, 24), by="/"), FRAME, ("https://hooks.slack.com/services/", " ")),
    Grammar("npm legacy", "npm-token", _uuid, FRAME, ("//npm.example.org/:_authToken=", "\n")),
    Grammar("bearer", "bearer", _after("", ALNUM + "._~", 40), FRAME, ("Authorization: Bearer ", "\n")),
    Grammar("basic auth", "basic-auth", _after("", ALNUM, 30, "=="), FRAME, ("Authorization: Basic ", "\n")),
    Grammar("api key header", "api-key-header", _after("", ALNUM, 32), FRAME, ("x-api-key: ", "\n")),
    Grammar("cookie", "cookie", _after("", ALNUM, 30), FRAME, ("Cookie: session=", "\n")),
    Grammar("set-cookie", "cookie", _after("", ALNUM, 30), FRAME, ("Set-Cookie: __cf_bm=", "; path=/; HttpOnly\n")),
    Grammar("url password", "url-password", _after("", ALNUM, 16), FRAME, ("postgres://app:", "@db.internal/x ")),
)  # fmt: skip

VALUES = (
    Grammar("mistral", "env:MISTRAL_API_KEY", _after("", ALNUM, 32), VALUE),
    Grammar("cohere", "env:CO_API_KEY", _after("", ALNUM, 40), VALUE),
    Grammar("azure of old", "env:AZURE_OPENAI_API_KEY", _after("", HEX, 32), VALUE),
    Grammar("a password", "env:DB_PASSWORD", lambda r: drawn(r, ALNUM, 9) + '"$+/&\\é ' + drawn(r, ALNUM, 9), VALUE),
)  # fmt: skip

GRAMMARS = (*PROVIDERS, *SERVICES, *FRAMED, *VALUES)
