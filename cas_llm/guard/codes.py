"""The stable codes of all findings, what each means and how bad it is: a table, nothing else.

A code never changes its meaning between releases, and none is given twice. ``CAS00x`` to
``CAS05x`` are what `cas-llm verify` says of a store, too; the others concern a commit or a push.
"""

from __future__ import annotations

CODES: dict[str, tuple[str, str]] = {
    # Files and their names.
    "CAS001": ("error", "the file `format` is missing, damaged, or of a later version"),
    "CAS002": ("error", "`.gitattributes` or `.gitignore` lacks a line that protects recordings"),
    "CAS003": ("info", "a file that explains the store differs from what this version writes"),
    "CAS004": ("error", "a file that does not belong into a store, or under a wrong name"),
    "CAS005": ("error", "a folder that cannot be read"),
    # What names what.
    "CAS010": ("error", "an answer that a tape or a shared entry names is missing"),
    "CAS011": ("error", "a key record that an entry names is missing; a warning for an answer"),
    "CAS012": ("error", "a part that a key record or an answer names is missing"),
    "CAS013": ("info", "a key record or an answer that nothing names"),
    # Bytes.
    "CAS020": ("error", "bytes that do not have the digest of their name"),
    "CAS021": ("error", "a shared entry that is not empty"),
    # Contents.
    "CAS030": ("error", "a key record that gives another key when derived anew"),
    "CAS031": ("error", "an answer that cannot be read or given back"),
    "CAS032": ("error", "lines for the reviewer that are not what is replayed"),
    "CAS033": ("error", "a secret of a known format"),
    "CAS034": ("error", "a tape that was renamed or moved"),
    "CAS035": ("warning", "a shared entry of a run that none of its answers says"),
    "CAS036": ("warning", "a shared entry with another ordinal than its answer says"),
    "CAS040": ("warning", "two recordings of which only the digest decides; see `stale.tied`"),
    # Git.
    "CAS050": ("info", "a store in no git repository"),
    "CAS051": ("error", "a tracked file that is not on disk"),
    "CAS052": ("error", "a file with other bytes than git's index has"),
    "CAS053": ("error", "a store that git ignores"),
    "CAS054": ("error", "an attribute by which git would convert or merge recordings"),
    "CAS055": ("error", "a file in conflict, or no plain file"),
    "CAS056": ("warning", "a file that is not added to git"),
    # A commit or a push: `cas-llm-verify`.
    "CAS060": ("error", "a recording that was edited in place"),
    "CAS061": ("error", "a tape or a shared entry that is deleted while it is in use"),
    "CAS062": ("error", "a recording that a program converted: line ends, a mark, a pointer"),
    "CAS063": ("warning", "a file near the size that forges refuse; an error above it"),
    "CAS064": ("warning", "all of a store is deleted"),
    # `cas-llm-replayable`.
    "CAS070": ("error", "a test that asks for what is not recorded"),
    "CAS071": ("error", "a test whose recording is not staged"),
    "CAS072": ("error", "tests that pytest cannot collect, or that it did not run"),
    "CAS073": ("warning", "a test that was not checked: no time, or it fails for another reason"),
    "CAS074": ("error", "a Python without cas-llm; a warning for another version"),
    "CAS075": ("error", "a test that ran with text that is not staged; see `hooks.allow_unstaged`"),
    "CAS076": ("info", "why all tests were run where fewer were asked for"),
    "CAS077": ("error", "a test that changed what is staged, or HEAD, while it was checked"),
    # `cas-llm-stale`; what blocks is said in [tool.cas-llm.stale].
    "CAS080": ("error", "a recording that is added and that nothing names"),
    "CAS081": ("error", "a tape of a test that is gone"),
    "CAS082": ("warning", "a tape or an answer that was superseded long ago"),
    "CAS083": ("warning", "an answer older than `max_age` days"),
    "CAS084": ("warning", "a key record of older rules than are written now"),
    "CAS085": ("warning", "an answer of a model that its provider has retired, or soon will"),
    "CAS086": ("error", "an answer that was edited by hand and does not say so"),
    # `cas-llm-secrets`, beside CAS033.
    "CAS090": ("warning", "words that look like a secret, by entropy or by what stands before"),
    "CAS091": ("error", "a file name that holds a secret"),
}
"""Each code's usual severity and what it means."""
