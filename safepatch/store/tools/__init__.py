"""What looks after stores that are not open; the store itself uses nothing of it.

`reading` keeps others from opening one, `surveying` says what is there and what is wrong,
`repairing` takes damage out, `restoring` stops at a moment, and `transferring` carries documents
from one store to another, of whatever engine. `safepatch store` only asks them.
"""
