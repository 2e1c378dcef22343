"""Caches that programs put around LLM calls: hishel, a wrapper on diskcache, LangChain's SQLite."""

from __future__ import annotations

import asyncio
import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

from asking import UPSTREAM, Call, credential, sdk
from payloads import Kind

from variants import Variant


class Hishel(Variant):
    """hishel on SQLite, shown a GET with a key of the body's, as it replays no POST by itself."""

    needs = ("hishel", "httpx2")
    kinds = ("chat", "long", "vectors")

    def build(self, root: Path, kind: Kind, count: int) -> None:
        root.mkdir(exist_ok=True)
        call = self._client(root, kind)
        # Only the making is hurried: what is measured opens the database anew, as it is.
        self.storage._ensure_connection().execute("PRAGMA synchronous = OFF")  # noqa: SLF001
        for number in range(count):
            call(number)

    def open(self, root: Path, kind: Kind, *, is_async: bool = False) -> Call:
        return self._client(root, kind, is_async=is_async)

    def recorder(self, root: Path, kind: Kind) -> Call:
        return self._client(root, kind)

    def _client(self, root: Path, kind: Kind, *, is_async: bool = False) -> Call:
        import httpx2
        from hishel import AsyncSqliteStorage, SqliteStorage
        from hishel.httpx2 import AsyncCacheTransport, CacheTransport

        upstream, path = UPSTREAM.transport(kind), str(root / "hishel.db")
        storage_of, transport_of = (
            (AsyncSqliteStorage, AsyncCacheTransport)
            if is_async
            else (SqliteStorage, CacheTransport)
        )
        self.storage: Any = storage_of(database_path=path, max_size=None)
        inner: Any = transport_of(upstream, self.storage)

        def disguised(request: Any) -> Any:
            key = hashlib.sha256(request.content).hexdigest()
            request.extensions["caching"] = {"key": key}
            request.method = "GET"
            return request

        class Disguise(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
            def handle_request(self, request: Any) -> Any:
                return inner.handle_request(disguised(request))

            async def handle_async_request(self, request: Any) -> Any:
                return await inner.handle_async_request(disguised(request))

        return sdk(kind, Disguise(), is_async=is_async)


class DiskCache(Variant):
    """The wrapper people write by hand: a hash of the arguments, JSON text, a typed object."""

    needs = ("diskcache",)
    kinds = ("chat", "long")
    through_sdk = False

    def __init__(self) -> None:
        self._cache: Any = None

    def build(self, root: Path, kind: Kind, count: int) -> None:
        cache = self._opened(root)
        with cache.transact():
            for number in range(count):
                cache.set(_named(kind, number), kind.answer(number).decode())
        self.close()

    def open(self, root: Path, kind: Kind, *, is_async: bool = False) -> Call:
        from openai.types.chat import ChatCompletion

        cache = self._opened(root)

        def ask(number: int) -> Any:
            return ChatCompletion.model_validate(json.loads(cache.get(_named(kind, number))))

        if not is_async:
            return ask
        return lambda number: asyncio.to_thread(ask, number)

    def recorder(self, root: Path, kind: Kind) -> Call:
        cache, call = self._opened(root), sdk(kind, UPSTREAM.transport(kind))

        def record(number: int) -> Any:
            result = call(number)
            cache.set(_named(kind, number), result.model_dump_json())
            return result

        return record

    def close(self) -> None:
        if self._cache is not None:
            self._cache.close()

    def _opened(self, root: Path) -> Any:
        import diskcache

        self._cache = diskcache.Cache(str(root), size_limit=2**40)
        return self._cache


def _named(kind: Kind, number: int) -> str:
    text = json.dumps(kind.arguments(number), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class LangChainSqlite(Variant):
    """LangChain's chat model with its SQLite cache, which answers before the SDK is asked."""

    needs = ("langchain_openai", "langchain_community")
    kinds = ("chat", "long")
    through_sdk = False

    def build(self, root: Path, kind: Kind, count: int) -> None:
        from sqlalchemy import event

        root.mkdir(exist_ok=True)
        cache = self._cache(root)
        cache.engine.dispose()

        def hasten(connection: Any, _record: object) -> None:
            connection.execute("PRAGMA synchronous = OFF")

        event.listen(cache.engine, "connect", hasten)
        call = self._client(kind, cache)
        for number in range(count):
            call(number)

    def open(self, root: Path, kind: Kind, *, is_async: bool = False) -> Call:
        return self._client(kind, self._cache(root), is_async=is_async)

    def recorder(self, root: Path, kind: Kind) -> Call:
        return self.open(root, kind)

    def is_right(self, result: Any, number: int) -> bool:
        # A message says nothing of its entry; that it is one, and no miss, is all there is to see.
        del number
        return bool(result.content) and UPSTREAM.reached == 0

    @staticmethod
    def _cache(root: Path) -> Any:
        warnings.simplefilter("ignore")
        from langchain_community.cache import SQLiteCache

        return SQLiteCache(str(root / "langchain.db"))

    @staticmethod
    def _client(kind: Kind, cache: Any, *, is_async: bool = False) -> Call:
        import httpx2
        from langchain_openai import ChatOpenAI

        arguments = kind.arguments(0)
        model = ChatOpenAI(
            model=arguments["model"],
            temperature=0,
            max_tokens=arguments["max_tokens"],
            seed=arguments["seed"],
            api_key=credential(),
            http_client=httpx2.Client(transport=UPSTREAM.transport(kind)),
            cache=cache,
            max_retries=0,
        )

        def messages(number: int) -> list[tuple[str, str]]:
            asked = kind.arguments(number)["messages"]
            return [(message["role"], message["content"]) for message in asked]

        if is_async:
            return lambda number: model.ainvoke(messages(number))
        return lambda number: model.invoke(messages(number))
