from __future__ import annotations

import pytest
import torch
from training_loop import main


def test_the_benchmark_runs_on_what_is_embedded(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    main(["--images", "128", "--repeats", "1", "--threads", "1"])
    title, header, *rows = capsys.readouterr().out.splitlines()
    assert title == "1 thread, 128 images, 1 repeats"
    assert "images/s" in header
    assert [row[:16].rstrip() for row in rows] == ["plain", "lvmlib", "lvmlib, fused"]
    assert torch.get_num_threads() == threads
