"""The journal: what a store in a directory consists of.

`frames` are what its files consist of. `journal` reads them when the store is opened, and writes
them then; `compacting` merges those that are closed, in a process of its own.
"""
