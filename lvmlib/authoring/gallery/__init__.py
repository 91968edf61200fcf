"""The solved labs as a web site: a front page, a page for each lab, their pictures beside them, and no script."""
