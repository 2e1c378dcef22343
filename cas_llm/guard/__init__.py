"""What a commit or a push may hold: the rules of the git hooks, one module a rule.

`staged` says what is about to be committed or pushed, `telling` how a finding is shown. Nothing
here records, deletes, or runs ``git add``; nothing but `trial` runs a test. The programs that
pre-commit starts are in `cas_llm.hook`.
"""
