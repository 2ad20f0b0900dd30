"""An OpenAI-compatible moderation endpoint in place of the rules."""

from collections.abc import Sequence

import httpx
import msgspec
from msgspec import Struct

from steersman_catalog.moderation import CATEGORIES, Category
from steersman_server.moderation.judges import JudgeError, Scores
from steersman_server.moderation.policy import Actions

OURS: dict[str, Category] = {
    **{category: category for category in CATEGORIES},
    "sexual/minors": "minors",
    "violence/graphic": "violence",
    "hate/threatening": "hate",
    "self-harm": "self_harm",
    "self-harm/intent": "self_harm",
    "self-harm/instructions": "self_harm",
    "illicit": "crime",
    "illicit/violent": "crime",
}
del OURS["violence"]  # OpenAI's is any depiction; ours is the graphic one
HELD = 200
"""Characters of an answer that are judged at a time, where something may be blocked."""
CONTEXT = 2000
"""Characters before them that are judged with them."""


class Result(Struct):
    """What is read of a judgement."""

    categories: dict[str, bool]
    category_scores: dict[str, float] = {}


class Results(Struct):
    """The endpoint's answer."""

    results: list[Result]


class EndpointJudge:
    """Asks `POST {url}/moderations`."""

    def __init__(self, url: str, model: str, key: str | None, timeout_s: float) -> None:
        self.name = model
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        self._http = httpx.AsyncClient(base_url=url.rstrip("/") + "/", headers=headers, timeout=timeout_s)

    async def judge(self, texts: Sequence[str]) -> list[Scores]:
        """Of each text, in one call.

        Raises:
            JudgeError: It did not answer in time, or not so.
        """
        try:
            answer = await self._http.post("moderations", json={"model": self.name, "input": list(texts)})
            answer.raise_for_status()
            results = msgspec.json.decode(answer.content, type=Results).results
        except (httpx.HTTPError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise JudgeError(f"{self._http.base_url}moderations: {error or type(error).__name__}") from error
        if len(results) != len(texts):
            raise JudgeError(
                f"{self._http.base_url}moderations: {len(results)} results for {len(texts)} texts"
            )
        return [_scores(result) for result in results]

    def screen(self, actions: Actions) -> "EndpointScreen":
        """One that asks as the answer is written, if it may block; else at the end."""
        return EndpointScreen(self, actions)

    async def aclose(self) -> None:
        """Close connections."""
        await self._http.aclose()


def _scores(result: Result) -> Scores:
    found: Scores = {}
    for name, holds in result.categories.items():
        category = OURS.get(name)
        if holds and category is not None:
            found[category] = max(found.get(category, 0.0), result.category_scores.get(name, 1.0))
    return found


class EndpointScreen:
    """Holds back what was not judged yet; a piece that falls under what blocks is not shown at all.

    Where nothing can be blocked, nothing is held back, and the answer is judged when it is complete.
    """

    def __init__(self, judge: EndpointJudge, actions: Actions) -> None:
        self.scores: dict[Category, float] = {}
        self.blocked: Category | None = None
        self._judge = judge
        self._actions = actions
        self._before, self._held = "", ""

    async def push(self, piece: str, *, last: bool) -> str:
        """The text that may now be shown.

        Raises:
            JudgeError: There is no judgement of what is held back.
        """
        self._held += piece
        if not self._actions.blocks and not last:
            self._before, self._held = self._before + piece, ""
            return piece
        if len(self._held) < HELD and not last:
            return ""
        if text := self._before + self._held:
            await self._look(text)
        self._before = text[-CONTEXT:]
        text = self.unjudged()
        return "" if self.blocked else text

    def unjudged(self) -> str:
        """What is held back, which is then given up."""
        text, self._held = self._held, ""
        return text

    async def _look(self, text: str) -> None:
        (scores,) = await self._judge.judge([text])
        for category, score in scores.items():
            action = self._actions.of(category)
            if action != "off":
                self.scores[category] = max(score, self.scores.get(category, 0.0))
            if action == "block" and self.blocked is None:
                self.blocked = category
