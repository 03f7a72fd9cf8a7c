"""The journal: what a store in a directory consists of.

`frames` are what its files consist of; `files` says which there are, and walks through them.
`journal` reads them when the store is opened, and writes them then. `compacting` merges those that
are closed into `images`, in a process of its own, which `merging` looks after.
"""
