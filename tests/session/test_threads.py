"""A scope that several threads ask in at once."""

from __future__ import annotations

from support.desk import a_test, chat, lay_tape, said

from cas_llm.session.scopes import Use

A, B = chat("a"), chat("b")


def test_a_thread_may_compare_tapes_while_another_is_served(desk, monkeypatch):
    """What a scope was served grows under the look-up of another thread, which goes on."""
    made = desk("replay")
    name = "tests/test_a.py::test_one"
    lay_tape(made, name, [(A, "A"), (B, "old")], take=0)
    lay_tape(made, name, [(A, "A"), (B, "new")], take=1)
    scope = a_test(name)
    made.ask(A, scope)
    made.ask(A, scope)
    real, numbers = type(scope.tapes(made.runtime.store)[0]).agrees, iter(range(100, 200))

    def agrees(tape, served):
        def others():
            for one in served:
                key = f"{next(numbers):064d}"
                scope.use(Use(1, key, 1, key, (), (), fresh=False))
                yield one

        return real(tape, others()) or True

    monkeypatch.setattr(type(scope.tapes(made.runtime.store)[0]), "agrees", agrees)
    assert said(made.ask(B, scope)) == "new"


def test_what_was_served_twice_is_listed_once(desk):
    """The same answer to the same ask is one, whoever repeats it."""
    made = desk("replay")
    lay_tape(made, "tests/test_a.py::test_one", [(A, "A")])
    scope = a_test("tests/test_a.py::test_one")
    for _ in range(3):
        made.ask(A, scope)
    assert len(scope.served) == 1


def test_calls_that_are_landed_meanwhile_stop_no_look_around(desk):
    """A call may land whenever something is collected, in the middle of ending others."""
    made = desk("fallback")
    runtime = made.runtime

    class Left:
        left = True

        def __init__(self, name):
            self.name = name

        def close(self):
            runtime.land(self.name)
            runtime.land("b")

    for name in "abc":
        runtime.recorders[name] = Left(name)
    runtime.settle()
    assert runtime.recorders == {}
