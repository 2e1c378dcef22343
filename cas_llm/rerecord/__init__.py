"""Asking again what is recorded: which tests to run anew, which requests may be sent by themselves.

A recording belongs to a conversation, so that tests are run; only an answer that nothing quotes
can be asked for alone. Selects, plans and carries out; prints nothing.
"""
