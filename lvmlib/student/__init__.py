"""What students do from a terminal: `lvm check`, `lvm submit` and `lvm doctor`.

- `finding`, `notebooks`: the file that is meant, and what is in it, whatever saved it;
- `labs`, `outline`: which lab that is, its exercises, their points and its questions;
- `kernel`, `checking`: the exercises' checks in a fresh kernel;
- `order`, `stripping`, `submitting`: the archive that is handed in;
- `doctor`: what is wrong with an installation.

Nothing of it needs torch, and nothing needs more than the extra `[lab]`.
"""
