"""Whether a store is what it says: `verify.verify` finds what is wrong, `repair.repair` mends it.

`census` lists the files and their names, `facts` tells of each file by itself what can be told,
`verify` and `doubts` hold the facts against each other, `tracked` against git. `again`, `noted` and
`walk` spare what has not changed since the last look.
"""
