"""A store written request by request, moved to other rules, and asked as a test would ask it."""

from __future__ import annotations

import json
from pathlib import Path

from support.desk import completion

from cas_llm.keys import Rules, key_record
from cas_llm.providers import identify
from cas_llm.rekey import Target, plan, write
from cas_llm.store import Answer, Recording, Shared, Store, Tape, pick
from cas_llm.store.tape import Turn
from cas_llm.wire import Response

JSON = (("content-type", "application/json"),)
RUN = "00c0ffee"


class Shelf:
    """A store at `root` and the rules that hold for it now."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rules = Rules()
        self.apis: dict[str, str] = {}

    @property
    def store(self) -> Store:
        """The store as another process finds it."""
        return Store(self.root)

    def record(self, request):
        """The key record of *request* under the rules that hold."""
        name = identify(request).name
        return key_record(request, self.apis.get(name, name), self.rules)

    def answer(self, request, text, *, ordinal=1):
        """Keep an answer that says *text*; its key and digest."""
        record = self.record(request)
        response = Response(200, JSON, json.dumps(completion(text)).encode())
        answer = Answer(record.key, response, RUN, ordinal, answer=(text,))
        parts = {digest: (part.ext, part.data) for digest, part in record.parts.items()}
        return record.key, self.store.save(Recording(record.data, answer, parts))

    def tape(self, scope, *turns, take=0, source=""):
        """Write the tape of a scope that asked the requests of *turns* and got their texts."""
        laid = tuple(Turn(*self.answer(request, text)) for request, text in turns)
        tape = Tape(scope, take, source, laid)
        self.store.add_tape(tape)
        return tape

    def shared(self, request, *texts, take=0):
        """Write shared answers to *request*."""
        for ordinal, text in enumerate(texts, 1):
            key, digest = self.answer(request, text, ordinal=ordinal)
            self.store.add_shared(Shared(key, take, RUN, ordinal, digest))

    def target(self, **more):
        return Target(normalise=self.rules.normalise, namespace=self.rules.namespace, **more)

    def under(self, *normalise, namespace=""):
        """Let other rules hold from now on."""
        self.rules = Rules(normalise, namespace)
        return self

    def plan(self, *allow, **more):
        return plan(self.store, self.target(**more), allow=allow)

    def move(self, *allow, **more):
        """Plan and write; the plan."""
        made = self.plan(*allow, **more)
        write(self.store, made)
        return made

    def says(self, scope, *requests):
        """What *scope* is served for *requests*, None where there is nothing."""
        store, served = self.store, []
        own = store.manifest.tapes_of(scope) if scope else ()
        found, asked = [], {}
        for request in requests:
            key = self.record(request).key
            asked[key] = asked.get(key, 0) + 1
            sequence = pick.from_own(own, key, served, "") if scope else None
            sequence = sequence or pick.from_shared(store.manifest.shared_of(key))
            ordinal = pick.at(sequence.digests, asked[key], "miss") if sequence else None
            if ordinal is None:
                found.append(None)
                continue
            digest = sequence.digests[ordinal - 1]
            served.append((key, ordinal, digest))
            body = json.loads(store.load(digest).response.body)
            found.append(body["choices"][0]["message"]["content"])
        return found

    def files(self):
        """Every file of the store with its bytes, local ones aside."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and ".local" not in path.parts
        }
