"""From an author's text to what a student opens: text → notebook → release, and the pages and pictures beside them."""
