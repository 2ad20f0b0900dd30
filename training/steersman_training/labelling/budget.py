"""How much may be spent: reserved before a request is sent, settled when its answer is there."""

import threading


class BudgetError(RuntimeError):
    """What is to be asked may cost more than what is left; the job can go on with a higher cap."""

    def __init__(self, needed: float, committed: float, max_usd: float) -> None:
        super().__init__(
            f"The next requests may cost up to ${needed:.4f}, and of the ${max_usd:.4f} allowed "
            f"${committed:.4f} is spent or promised. Nothing more was sent; resume with a higher --max-usd."
        )
        self.needed = needed


class Budget:
    """Dollars under a cap, shared by threads.

    `reserve` counts the most that requests can cost, so that with any number of them under way the sum of
    what was paid and what may still have to be paid never passes the cap.
    """

    def __init__(self, max_usd: float, committed: float = 0.0) -> None:
        self.max_usd = max_usd
        self._committed = committed
        self._lock = threading.Lock()

    @property
    def committed(self) -> float:
        """Spent, promised, or perhaps spent: dollars that are not free."""
        return self._committed

    def fits(self, usd: float) -> bool:
        """Whether so much is free now."""
        return self._committed + usd <= self.max_usd + 1e-9

    def reserve(self, usd: float) -> None:
        """Promise `usd`.

        Raises:
            BudgetError: So much is not free.
        """
        with self._lock:
            if not self.fits(usd):
                raise BudgetError(usd, self._committed, self.max_usd)
            self._committed += usd

    def settle(self, reserved: float, paid: float) -> None:
        """Put what was paid in the place of what was promised for it."""
        with self._lock:
            self._committed += paid - reserved
