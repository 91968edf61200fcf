"""From an author's text to what a student opens: text → notebook → release, and the pages and pictures beside them."""

import sys

# jsonschema, which nbformat imports, would compile a grammar of addresses for a second; no notebook has any.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
