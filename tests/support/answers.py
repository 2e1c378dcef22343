"""What the scripted provider says when no script does: one function per API.

Every answer holds the request's number and echoes the last thing the user said. Shapes follow the
providers' published references closely enough for their own SDKs to parse.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from support import anthropic_answers, cohere_answers, gemini_answers, openai_answers
from support.provider import Received, Reply
from support.shapes import Files


def answer(received: Received, files: Files) -> Reply:
    """The reply of the API that the end of the path names; 404 where there is none."""
    for pattern, respond in _ROUTES:
        if match := re.search(pattern, f"{received.method} {received.path}"):
            return respond(received, files, match)
    message = f"no such API on the scripted provider: {received.method} {received.path}"
    return Reply.of({"error": {"message": message, "type": "invalid_request_error"}}, status=404)


_ROUTES: tuple[tuple[str, Callable[[Received, Files, re.Match[str]], Reply]], ...] = (
    (r"^POST .*/chat/completions$", openai_answers.chat),
    (r"^POST .*/responses$", openai_answers.responses),
    (r"^POST .*/embeddings$", openai_answers.embeddings),
    (r"^POST .*/images/\w+$", openai_answers.images),
    (r"^POST .*/audio/speech$", openai_answers.speech),
    (r"^POST .*/audio/\w+$", openai_answers.transcription),
    (r"^POST .*/files$", openai_answers.file_upload),
    (r"^GET .*/files$", openai_answers.file_list),
    (r"^(GET|DELETE) .*/files/(?P<id>[^/]+)(?P<content>/content)?$", openai_answers.file_one),
    (r"^POST .*/messages$", anthropic_answers.messages),
    (r"^POST .*/messages/count_tokens$", anthropic_answers.count_tokens),
    (
        r"^POST .*/models/(?P<model>[^/:]+):(?P<verb>generateContent|streamGenerateContent)$",
        gemini_answers.generate,
    ),
    (r"^POST .*/models/(?P<model>[^/:]+):batchEmbedContents$", gemini_answers.embed),
    (r"^POST .*/v2/chat$", cohere_answers.chat),
    (r"^POST .*/v2/embed$", cohere_answers.embed),
    (r"^GET .*/models(/(?P<id>[^/]+))?$", openai_answers.models),
)
