"""Personal data: patterns that check out and stand for no one else's example."""

import re
from collections.abc import Callable, Iterator

PLACEHOLDER = re.compile(
    r"(?i)your|example|xxx|recipient|sender|user|name|some|address|john|jane|\bemail|test|noreply|no-reply|@\d|git@"
    r"|@(?:[\w.-]+\.)?(?:domain|email|company|mail|abc|xyz|foo|bar)\.\w+$"
    r"|^(?:admin|careers|contact|enquiries|hello|help|info|jobs|mail|office|press|sales|service|support|surveys|team)@"
)
"""Addresses that stand for addresses, and those of offices."""
FOUR_DIGITS = re.compile(r"\d{4}")
EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}(?![\w.]*\()")
TELEPHONE = re.compile(r"(?<![\w+.-])(?:\+\d{1,3}[ .-]?)?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![\w-]|\.\d)")
CARD = re.compile(r"(?<![\w.-])(?:\d{4}[ -]){3}\d{4}(?![\w-])")
KEY_SIGNS = ("AKIA", "ghp_", "sk-", "AIza", "xox", "-----BEGIN")
KEY = re.compile(
    r"(?<!\w)(?:AKIA[A-Z0-9]{16}|ghp_[A-Za-z0-9]{36}|sk-[A-Za-z0-9]{32,}|AIza[\w-]{35}|xox[bp]-\d[\w-]{20,})"
    r"(?![A-Za-z0-9])|-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----"
)


def personal_data(text: str) -> Iterator[tuple[str, int]]:
    """The kinds of personal data in a text, each once, with where the first of it begins."""
    for kind, find in PERSONAL.items():
        start = find(text)
        if start is not None:
            yield kind, start


def _first(pattern: re.Pattern[str], text: str, holds: Callable[[str], object]) -> int | None:
    return next((match.start() for match in pattern.finditer(text) if holds(match[0])), None)


def _email(text: str) -> int | None:
    if "@" not in text:
        return None
    return _first(EMAIL, text, lambda address: not PLACEHOLDER.search(address))


def _telephone(text: str) -> int | None:
    """International, or North American with its signs; not 555 or 123-456, which are for examples."""
    if not FOUR_DIGITS.search(text):
        return None
    return _first(
        TELEPHONE,
        text,
        lambda number: (
            re.search(r"[+(.-]", number) and not re.search(r"555|123\D*456", number) and len(set(number)) > 4
        ),
    )


def _card(text: str) -> int | None:
    """Sixteen digits in groups that pass Luhn's test."""
    if not FOUR_DIGITS.search(text):
        return None
    return _first(CARD, text, lambda number: _luhn(re.sub(r"\D", "", number)) and len(set(number)) > 5)


def _luhn(digits: str) -> bool:
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(int(digit) for digit in digits[::-2])) % 10 == 0


def _secret(text: str) -> int | None:
    """Keys in the forms that services give out."""
    return _first(KEY, text, bool) if any(sign in text for sign in KEY_SIGNS) else None


PERSONAL: dict[str, Callable[[str], int | None]] = {
    "an e-mail address": _email,
    "a telephone number": _telephone,
    "a card number": _card,
    "a secret key": _secret,
}
"""Kinds of personal data; only the kind is kept as evidence."""
