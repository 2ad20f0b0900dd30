"""Freed memory is kept: what is allocated next does not fault its pages in again."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from steersman_training.allocator import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
for _ in range(12):
    torch.ones(1 << 24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(12):
    torch.ones(1 << 24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's alone is changed")
def test_a_step_takes_the_memory_that_the_last_one_freed() -> None:
    def faults(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert faults("kept") < 10 < faults("given back")
