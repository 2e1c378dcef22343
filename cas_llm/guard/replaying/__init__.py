"""How a hook finds out whether tests replay: which ones, in which Python, from which store.

`projects` and `selecting` choose the tests, with `edits` and `reach`; `interpreter` and
`delegating` find the Python they run in; `disk` is the work tree beside what is
staged, `mirror` the store as it is staged; `trial` runs them;
`outcome` says what it means.
"""
