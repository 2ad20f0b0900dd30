"""How much is made up, and how what is whole gets damaged."""

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

CASES = int(os.environ.get("STEERSMAN_FUZZ_CASES", "40"))
"""Of each property; by default few, and always the same."""
fuzz = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=CASES <= 100,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
        HealthCheck.data_too_large,
    ],
)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """`whole` with some bytes changed, put in, or cut off."""
    found = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, min(len(found), draw(st.sampled_from([16, 400, len(found)])))))
        match draw(st.sampled_from(["change", "insert", "remove", "cut"])):
            case "change":
                found[at : at + 1] = draw(st.binary(min_size=1, max_size=8))
            case "insert":
                found[at:at] = draw(st.binary(min_size=1, max_size=64))
            case "remove":
                del found[at : at + draw(st.integers(1, 64))]
            case _:
                del found[at:]
    return bytes(found)
