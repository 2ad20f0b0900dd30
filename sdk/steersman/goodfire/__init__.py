"""What Goodfire's SDK sent, for those who come from there or have to go there."""

from steersman.goodfire.read import read_controller
from steersman.goodfire.write import write_controller

__all__ = ["read_controller", "write_controller"]
