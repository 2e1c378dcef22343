"""The table of hosts that serve LLMs, and the environment variables that name keys and hosts.

Pure data and one look-up. A gateway that isn't here is the user's to map
(``[tool.cas-llm.hosts]``).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

KNOWN_HOSTS: Mapping[str, str] = MappingProxyType(
    {
        "api.openai.com": "openai",
        "*.api.openai.com": "openai",
        "api.anthropic.com": "anthropic",
        "generativelanguage.googleapis.com": "gemini",
        "*.generativelanguage.googleapis.com": "gemini",
        "api.cohere.com": "cohere",
        "api.cohere.ai": "cohere",
        "production.api.cohere.ai": "cohere",
        "bedrock-runtime.*.amazonaws.com": "bedrock",
        "bedrock-runtime-fips.*.amazonaws.com": "bedrock",
        "bedrock-runtime.*.amazonaws.com.cn": "bedrock",
        "bedrock-mantle.*.api.aws": "bedrock",
        "aiplatform.googleapis.com": "vertex",
        "*-aiplatform.googleapis.com": "vertex",
        "aiplatform.*.rep.googleapis.com": "vertex",
        "*.openai.azure.com": "azure",
        "*.openai.azure.us": "azure",
        "*.openai.azure.cn": "azure",
        "*.cognitiveservices.azure.com": "azure",
        "*.services.ai.azure.com": "azure",
        "*.inference.ai.azure.com": "azure",
        "*.inference.ml.azure.com": "azure",
        "models.github.ai": "github",
        "models.inference.ai.azure.com": "github",
        "api.githubcopilot.com": "copilot",
        "*.githubcopilot.com": "copilot",
        "openrouter.ai": "openrouter",
        "*.openrouter.ai": "openrouter",
        "api.groq.com": "groq",
        "api.mistral.ai": "mistral",
        "api.*.mistral.ai": "mistral",
        "codestral.mistral.ai": "mistral",
        "api.deepseek.com": "deepseek",
        "api.together.xyz": "together",
        "api.together.ai": "together",
        "api.fireworks.ai": "fireworks",
        "api.x.ai": "xai",
        "*.api.x.ai": "xai",
        "api.perplexity.ai": "perplexity",
        "api.cerebras.ai": "cerebras",
        "api.sambanova.ai": "sambanova",
        "api.moonshot.ai": "moonshot",
        "api.moonshot.cn": "moonshot",
        "api.z.ai": "zai",
        "open.bigmodel.cn": "zhipu",
        "api.minimax.io": "minimax",
        "api.minimax.chat": "minimax",
        "api.minimaxi.com": "minimax",
        "dashscope.aliyuncs.com": "alibaba",
        "dashscope-*.aliyuncs.com": "alibaba",
        "api.siliconflow.cn": "siliconflow",
        "api.siliconflow.com": "siliconflow",
        "router.huggingface.co": "huggingface",
        "api-inference.huggingface.co": "huggingface",
        "*.endpoints.huggingface.cloud": "huggingface",
        "integrate.api.nvidia.com": "nvidia",
        "ai.api.nvidia.com": "nvidia",
        "api.ai21.com": "ai21",
        "api.deepinfra.com": "deepinfra",
        "api.hyperbolic.xyz": "hyperbolic",
        "api.novita.ai": "novita",
        "api.studio.nebius.ai": "nebius",
        "api.studio.nebius.com": "nebius",
        "api.tokenfactory.nebius.com": "nebius",
        "api.lambda.ai": "lambda",
        "api.lepton.ai": "lepton",
        "api.scaleway.ai": "scaleway",
        "oai.endpoints.kepler.ai.cloud.ovh.net": "ovhcloud",
        "inference.baseten.co": "baseten",
        "ai-gateway.vercel.sh": "vercel",
        "api.portkey.ai": "portkey",
        "gateway.ai.cloudflare.com": "cloudflare",
        "oai.helicone.ai": "helicone",
        "gateway.helicone.ai": "helicone",
        "api.replicate.com": "replicate",
        "api.voyageai.com": "voyage",
        "api.jina.ai": "jina",
        "api.aimlapi.com": "aimlapi",
        "api.venice.ai": "venice",
        "api.inference.net": "inference",
        "api.arcee.ai": "arcee",
        "api.reka.ai": "reka",
        "api.upstage.ai": "upstage",
        "api.writer.com": "writer",
        "api.friendli.ai": "friendli",
        "api.featherless.ai": "featherless",
        "api.chutes.ai": "chutes",
        "llm.chutes.ai": "chutes",
        "ollama.com": "ollama",
    },
)
"""Host pattern to provider; one ``*`` may stand for any characters, dots included."""

TELEMETRY: Mapping[str, str] = MappingProxyType({"api.openai.com": "/v1/traces/ingest"})
"""Host to the path where an SDK of its provider (openai-agents) posts what a program did."""

KEY_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "OPENAI_API_KEY": "openai",
        "OPENAI_ADMIN_KEY": "openai",
        "AZURE_OPENAI_API_KEY": "openai",
        "AZURE_OPENAI_AD_TOKEN": "openai",
        "AZURE_API_KEY": "openai",
        "ANTHROPIC_API_KEY": "anthropic",
        "ANTHROPIC_AUTH_TOKEN": "anthropic",
        "GEMINI_API_KEY": "gemini",
        "GOOGLE_API_KEY": "gemini",
        "CO_API_KEY": "cohere",
        "COHERE_API_KEY": "cohere",
        "AWS_BEARER_TOKEN_BEDROCK": "bedrock",
        "MISTRAL_API_KEY": "openai",
        "GROQ_API_KEY": "openai",
        "OPENROUTER_API_KEY": "openai",
        "DEEPSEEK_API_KEY": "openai",
        "TOGETHER_API_KEY": "openai",
        "TOGETHERAI_API_KEY": "openai",
        "FIREWORKS_API_KEY": "openai",
        "XAI_API_KEY": "openai",
        "PERPLEXITY_API_KEY": "openai",
        "PERPLEXITYAI_API_KEY": "openai",
        "CEREBRAS_API_KEY": "openai",
        "SAMBANOVA_API_KEY": "openai",
        "MOONSHOT_API_KEY": "openai",
        "MOONSHOTAI_API_KEY": "openai",
        "ZAI_API_KEY": "openai",
        "ZHIPUAI_API_KEY": "openai",
        "DASHSCOPE_API_KEY": "openai",
        "HF_TOKEN": "openai",
        "HUGGINGFACE_API_KEY": "openai",
        "NVIDIA_API_KEY": "openai",
        "NVIDIA_NIM_API_KEY": "openai",
        "DEEPINFRA_API_KEY": "openai",
        "NEBIUS_API_KEY": "openai",
        "NOVITA_API_KEY": "openai",
        "AI21_API_KEY": "openai",
        "VOYAGE_API_KEY": "openai",
        "JINA_API_KEY": "openai",
    },
)
"""Environment variable that holds a key, to the family of the SDK that reads it."""

BASE_URL_VARIABLES: tuple[str, ...] = (
    "OPENAI_BASE_URL",
    "OPENAI_API_BASE",
    "AZURE_OPENAI_ENDPOINT",
    "AZURE_API_BASE",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_BEDROCK_BASE_URL",
    "ANTHROPIC_VERTEX_BASE_URL",
    "ANTHROPIC_FOUNDRY_BASE_URL",
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_VERTEX_BASE_URL",
    "CO_API_URL",
    "MISTRAL_BASE_URL",
    "GROQ_BASE_URL",
    "OPENROUTER_BASE_URL",
    "DEEPSEEK_API_BASE",
    "CEREBRAS_BASE_URL",
    "TOGETHER_BASE_URL",
    "OLLAMA_HOST",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
)
"""Environment variables that name the host an SDK calls."""

# not regular expressions: compiling them would cost more than all the rest of the import
_WILDCARDS = tuple(
    (*pattern.split("*"), provider) for pattern, provider in KNOWN_HOSTS.items() if "*" in pattern
)


@lru_cache(maxsize=1024)
def provider_of_host(host: str) -> str:
    """The provider whose host *host* is, or an empty string; case and a final dot don't count."""
    name = host.lower().rstrip(".")
    if name in KNOWN_HOSTS:
        return KNOWN_HOSTS[name] if "*" not in name else ""
    for start, end, provider in _WILDCARDS:
        if len(name) > len(start) + len(end) and name.startswith(start) and name.endswith(end):
            return provider
    return ""


def is_provider_host(host: str) -> bool:
    """Whether *host* (a name without port) is a known provider's."""
    return bool(provider_of_host(host))
