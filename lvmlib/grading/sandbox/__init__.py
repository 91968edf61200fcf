"""Where a stranger's code runs: apart from everything, within limits, and gone afterwards."""
