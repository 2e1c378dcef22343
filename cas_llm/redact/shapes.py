"""The formats of secrets: a table of rules, and nothing that runs them.

A rule is here only if its format is exact: a prefix that issuers chose to be found, or a frame
(a PEM block, a cookie line) around the value. There is no entropy and no keyword. A change of the
table changes keys, so it comes with a new `REDACT_VERSION`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

REDACT_VERSION = 1
"""Version of the rules; key records name it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One format: every match of `pattern` holds one of `marks`; group 1, if any, is the secret.

    A match without its group 1 is none, but what it covers is not searched again.

    Where it `leads`, a match starts with its mark. A `long` one holds a word of `LONG_WORD`
    characters of `WORD_CHARACTERS`; in a `lone` one the mark is in that word.
    """

    kind: str
    marks: tuple[str, ...]
    pattern: re.Pattern[str]
    leads: bool
    long: bool = True
    lone: bool = False


LONG_WORD = 20
WORD_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-.~"


# A token starts where no letter or digit stands before it. Text is often JSON text (twice, in tool
# calls), where a line break before the token is a backslash and an "n"; what a terminal printed has
# colours, "ESC[31m".
_START = (
    r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-Fa-f]{2})"
    r"|(?<=[0-9;\[]m))"
)
_END = r"(?![A-Za-z0-9])"
_MIXED = r"(?=[A-Za-z_-]{0,99}[0-9])(?=[a-z0-9_-]{0,99}[A-Z])(?=[A-Z0-9_-]{0,99}[a-z])"
_DIGIT = r"(?=[A-Za-z_-]{0,99}[0-9])"  # "sk-proj-put-your-own-key-here" is prose
_QUOTES = r"[\"'\\]{0,16}"  # of JSON in JSON in JSON: seven backslashes and the quote


def _token(kind: str, marks: str, pattern: str) -> Shape:
    return Shape(kind, tuple(marks.split()), re.compile(_START + pattern), leads=True, lone=True)


def _framed(kind: str, marks: tuple[str, ...], pattern: str, *, long: bool = True) -> Shape:
    return Shape(kind, marks, re.compile(pattern), leads=False, long=long)


# What "my..." and "your..." go on with in a tutorial; a password may begin with these letters.
_TUTORIAL = (
    "own|new|very|super|strong|long|secure|secret|safe|db|database|postgres|mysql|redis|root|admin|"
    "app|user|name|account|pass(?:word|wd|phrase)?|pwd?|token|key|value|here|goes|123(?:4|45|456)?"
)

_PEM_END = r"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"

SHAPES: tuple[Shape, ...] = (
    # Model providers
    _token("anthropic-key", "sk-ant-", r"sk-ant-" + _DIGIT + r"[A-Za-z0-9_-]{20,}"),
    _token("openrouter-key", "sk-or-", r"sk-or-" + _DIGIT + r"[A-Za-z0-9_-]{20,}"),
    _token(
        "openai-key",
        "sk-",
        r"sk-(?:(?:proj|svcacct|admin|service|None)-" + _DIGIT + r"[A-Za-z0-9_-]{20,}"
        r"|[A-Za-z0-9]{32,}"
        r"|[A-Za-z0-9_-]{10,200}?T3BlbkFJ[A-Za-z0-9_-]{20,})",
    ),
    _token("openai-ephemeral-key", "ek_", r"ek_[0-9a-f]{32,}"),
    _token("langfuse-key", "sk-lf-", r"sk-lf-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    _token("langsmith-key", "lsv2_", r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),
    _token("google-key", "AIza AQ.Ab", r"(?:AIza[A-Za-z0-9_-]{35,}|AQ\.Ab[A-Za-z0-9_-]{40,})"),
    _token("google-token", "ya29.", r"ya29\.[A-Za-z0-9._-]{30,}"),
    _token("google-client-secret", "GOCSPX-", r"GOCSPX-[A-Za-z0-9_-]{28,}"),
    _token("groq-key", "gsk_", r"gsk_[A-Za-z0-9]{40,}"),
    _token("xai-key", "xai-", r"xai-[A-Za-z0-9]{40,}"),
    _token("huggingface-token", "hf_ api_org_", r"(?:hf|api_org)_[A-Za-z0-9]{30,}"),
    _token("replicate-token", "r8_", r"r8_[A-Za-z0-9]{37,}"),
    _token("perplexity-key", "pplx-", r"pplx-[A-Za-z0-9]{40,}"),
    _token("cerebras-key", "csk-", r"csk-[a-z0-9]{40,}"),
    _token("nvidia-key", "nvapi-", r"nvapi-[A-Za-z0-9_-]{60,}"),
    _token("together-key", "tgp_v1_", r"tgp_v1_[A-Za-z0-9_-]{40,}"),
    _token("fireworks-key", "fw_", rf"fw_{_MIXED}[A-Za-z0-9]{{22,28}}{_END}"),
    _token("voyage-key", "pa-", rf"pa-{_MIXED}[A-Za-z0-9_-]{{43}}{_END}"),
    _token("jina-key", "jina_", r"jina_[0-9a-f]{32}[A-Za-z0-9_-]{20,}"),
    _token("elevenlabs-key", "sk_", rf"sk_[0-9a-f]{{48}}{_END}"),
    _token("pinecone-key", "pcsk_", r"pcsk_[A-Za-z0-9_]{60,}"),
    _token("llamacloud-key", "llx-", r"llx-[A-Za-z0-9]{40,}"),
    _token("anyscale-key", "esecret_", r"esecret_[a-z0-9]{26,}"),
    _token("runpod-key", "rpa_", r"rpa_[A-Z0-9]{40,}"),
    _token("firecrawl-key", "fc-", rf"fc-[0-9a-f]{{32}}{_END}"),
    _token("wandb-key", "wandb_v1_", r"wandb_v1_[A-Za-z0-9_-]{40,}"),
    _token("databricks-token", "dapi", rf"dapi[0-9a-f]{{32}}(?:-[0-9])?{_END}"),
    _token("tavily-key", "tvly-", r"tvly-(?:dev-|prod-)?[A-Za-z0-9]{30,}"),
    # Clouds
    _token("aws-key-id", "AKIA ASIA ABIA", r"A(?:KIA|SIA|BIA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _framed(
        "aws-secret",
        ("ecret_access_key", "ECRET_ACCESS_KEY", "ecretAccessKey"),
        rf"(?i:secret_?access_?key){_QUOTES}\s{{0,4}}[:=]\s{{0,4}}{_QUOTES}"
        r"([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    ),
    _framed(
        "aws-session-token",
        ("ession_token", "ESSION_TOKEN", "essionToken"),
        rf"(?i:session_?token){_QUOTES}\s{{0,4}}[:=]\s{{0,4}}{_QUOTES}"
        r"([A-Za-z0-9/+]{100,}={0,2})",
    ),
    _token(
        "bedrock-key", "ABSK bedrock-api-key-", r"(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/]{80,}=*"
    ),
    _framed("azure-storage-key", ("AccountKey=",), r"AccountKey=([A-Za-z0-9+/]{86}==)"),
    Shape(
        "azure-key",
        ("JQQJ9", "AzSe", "+ASt", "ACDb"),
        re.compile(
            rf"{_START}(?:[A-Za-z0-9]{{52}}JQQJ9[9DH][A-Za-z0-9][A-L][A-Za-z0-9]{{24}}"
            r"(?:[A-Za-z0-9]{2}==)?|[A-Za-z0-9]{42}AzSe[A-D][A-Za-z0-9]{5}"
            r"|[A-Za-z0-9+/]{76}(?:\+ASt|ACDb)[A-Za-z0-9+/]{5}[AQgw]==)(?![A-Za-z0-9])"
        ),
        leads=False,
        lone=True,
    ),
    _token("digitalocean-token", "dop_v1_ doo_v1_ dor_v1_", r"do[opr]_v1_[0-9a-f]{64}"),
    _token("vault-token", "hvs. hvb.", r"hv[sb]\.[A-Za-z0-9_-]{90,}"),
    # Forges, registries, services
    _token("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9_]{36,}"),
    _token("github-token", "github_pat_", r"github_pat_[A-Za-z0-9_]{40,}"),
    _token(
        "gitlab-token",
        "glpat- gldt- glft- glsoat- glrt- glcbt- glimt- glptt- glagent- gloas-",
        r"gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-[A-Za-z0-9_.-]{20,}",
    ),
    _token("slack-token", "xox xapp-", r"(?:xox[abeoprs]|xapp)-[0-9][A-Za-z0-9-]{20,}"),
    _framed(
        "slack-webhook",
        ("hooks.slack.com",),
        r"hooks\.slack\.com\\?/services\\?/(T[A-Za-z0-9_]+\\?/B[A-Za-z0-9_]+\\?/[A-Za-z0-9_]{16,})",
        long=False,
    ),
    _token(
        "stripe-key", "sk_live_ sk_test_ rk_live_ rk_test_", r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"
    ),
    _token("stripe-webhook-secret", "whsec_", r"whsec_[A-Za-z0-9+/]{32,}=*"),
    _token("sendgrid-key", "SG.", r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    _token("twilio-key", "SK AC", r"(?:SK|AC)[0-9a-f]{32}(?![A-Za-z0-9])"),
    _token("npm-token", "npm_", r"npm_[A-Za-z0-9]{36,}"),
    _framed("npm-token", ("_authToken=",), r"_authToken=\s?([0-9A-Fa-f-]{36})"),
    _token("pypi-token", "pypi-AgE", r"pypi-AgE[A-Za-z0-9_-]{50,}"),
    _token("docker-token", "dckr_pat_ dckr_oat_", r"dckr_[po]at_[A-Za-z0-9_-]{27,}"),
    _token("linear-key", "lin_api_", r"lin_api_[A-Za-z0-9]{40,}"),
    _token("notion-token", "ntn_", r"ntn_[0-9]{11}[A-Za-z0-9]{35}"),
    _token("figma-token", "figd_", r"figd_[A-Za-z0-9_-]{40,}"),
    _token("grafana-token", "glsa_", r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}"),
    _token("sentry-token", "sntryu_", r"sntryu_[0-9a-f]{64}"),
    _token("shopify-token", "shpat_ shpca_ shppa_ shpss_", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    # Frames
    _token(
        "jwt",
        "eyJ",
        r"(?:(eyJ[A-Za-z0-9_-]{8,}+\.(?:eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]*+"
        r"|[A-Za-z0-9_-]*+\.[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]++\.[A-Za-z0-9_-]++))"
        # What follows this word makes it none: no other place of it need be tried.
        r"|eyJ[A-Za-z0-9_-]++)",
    ),
    _framed(
        "pem",
        ("PRIVATE KEY",),
        # A tutorial's "-----BEGIN PRIVATE KEY-----\n...\n" has no 32 characters of base64. A cut
        # block has no end: then whatever base64 follows is taken.
        r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
        r"(?=(?:[^\"-]|-(?!----)){0,400}?[A-Za-z0-9+/]{32})"
        rf"(?:(?:[^\"\\-]|\\+[nrt/]|-(?!----)){{32,20000}}?{_PEM_END}"
        r"|(?:[A-Za-z0-9+/=\s]|\\+[nr/]){32,20000})",
    ),
    _framed(
        "bearer",
        ("earer", "EARER"),
        _START + r"(?i:bearer)(?:\s|%20|\+|\\+[nt]){1,4}(?=[A-Za-z._~+/-]{0,99}[0-9])"
        r"([A-Za-z0-9._~+/-]{20,}=*)",
    ),
    _framed(
        "basic-auth",
        ("asic ", "ASIC "),
        rf"(?i:authorization){_QUOTES}\s{{0,4}}[:=]\s{{0,4}}{_QUOTES}(?i:basic) {{1,2}}"
        r"([A-Za-z0-9+/]{12,}={0,2})",
        long=False,
    ),
    _framed(
        "api-key-header",
        ("-api-key", "-Api-Key", "-API-KEY", "-API-Key"),
        rf"{_START}(?i:x-(?:goog-)?api-key){_QUOTES}\s{{0,4}}[:=]\s{{0,4}}{_QUOTES}"
        r"(?=[A-Za-z_-]{0,99}[0-9])([A-Za-z0-9_-]{20,})",
    ),
    _framed(
        "cookie",
        ("ookie", "OOKIE"),
        rf"{_START}(?i:(?:set-)?cookie){_QUOTES}\s{{0,4}}:\s{{0,4}}{_QUOTES}"
        r"([A-Za-z0-9_.-]{1,99}=[^\"'\\\s;]{8,}(?:; ?[^\"'\\\r\n;]+)*)",
        long=False,
    ),
    _framed(
        "url-password",
        ("://",),
        # The passwords of tutorials are none. Whether there is one at all is quicker to see.
        r"://(?=[^\s:/?#@\"'\\<>\[\](){}]{1,64}+:[^\s:/?#@\"'\\<>\[\](){}$]{4,128}@)"
        r"(?![^@\s]{0,200}:(?i:pass(?:word|wd)?|pwd?|secret|changeme|example|postgres|root|"
        rf"admin|guest|user(?:name)?|test|(?:your|my)(?:[_-]?(?:{_TUTORIAL}))*|x+|\*+|\.+)@)"
        r"[^\s:/?#@\"'\\<>\[\](){}]{1,64}:([^\s:/?#@\"'\\<>\[\](){}$]{4,128})@",
        long=False,
    ),
)

LEADS = tuple(mark for shape in SHAPES if shape.leads for mark in shape.marks)
"""What a token may start with."""
