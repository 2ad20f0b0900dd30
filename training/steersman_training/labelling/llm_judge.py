"""Answers trials by asking a language model."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from msgspec import Struct

from steersman_training.labelling.ask import Ask, Turn, make_ask, schema_of
from steersman_training.labelling.asking import Asker
from steersman_training.labelling.llm_estimate import estimate
from steersman_training.labelling.llm_prompts import (
    ASK_JUDGE,
    OneOfFour,
    OneOfTwo,
    Test,
    YesOrNo,
    judge_prompt,
    judge_version,
)
from steersman_training.labelling.llm_render import passage_line, quoted, tagged
from steersman_training.labelling.protocols import (
    ContrastiveTrial,
    DetectionTrial,
    Estimate,
    Failure,
    FuzzingTrial,
    StringentTrial,
    Trial,
    Verdict,
)

LETTERS = "ABCD"
MAX_TOKENS = 100
TYPICAL_TOKENS = 15


class Form(Struct, frozen=True):
    """How one kind of trial is put."""

    test: Test
    answer: type[OneOfTwo] | type[OneOfFour] | type[YesOrNo]


FORMS: dict[type, Form] = {
    ContrastiveTrial: Form("contrastive", OneOfTwo),
    StringentTrial: Form("stringent", OneOfFour),
    DetectionTrial: Form("detection", YesOrNo),
    FuzzingTrial: Form("fuzzing", YesOrNo),
}


class LLMJudge:
    """A `Judge`; one trial a request, so that no trial informs another."""

    def __init__(self, asker: Asker, model: str, name: str) -> None:
        self.name = name
        self.version = f"{judge_version()}:{model}"
        self.batch_size = asker.transport.batch_size
        self._asker = asker
        self._model = model

    def judge(self, trials: Sequence[Trial]) -> Iterator[tuple[str, Verdict | Failure]]:
        """Each trial's id once, one kind of trial after another. Trials that read the same are asked once.

        Raises:
            BudgetError: What remains may cost more than is left; what was answered is kept.
            BackendError: The service cannot be used now; likewise.
        """
        for kind, form in FORMS.items():
            asks: dict[str, Ask] = {}
            trials_of = defaultdict[str, list[str]](list)
            for trial in trials:
                if type(trial) is kind:
                    ask = judge_ask(trial, self._model)
                    asks[ask.id] = ask
                    trials_of[ask.id].append(trial.id)
            for ask, data, model in self._asker.ask(list(asks.values()), form.answer):
                found = data if isinstance(data, Failure) else verdict(data, model)
                for trial_id in trials_of[ask]:
                    yield trial_id, found

    def estimate(self, sample: Sequence[Trial], total: int) -> Estimate:
        """For `total` trials of which `sample` is a fair sample."""
        return estimate(self._asker, [judge_ask(t, self._model) for t in sample], total, TYPICAL_TOKENS)


def judge_ask(trial: Trial, model: str) -> Ask:
    """The question for one trial: the label and the texts, and nothing else of the feature."""
    form = FORMS[type(trial)]
    prompt = judge_prompt(form.test)
    if isinstance(trial, ContrastiveTrial | StringentTrial):
        texts = [passage_line(p, letter) for p, letter in zip(trial.passages, LETTERS, strict=False)]
    else:
        texts = [passage_line(trial.passages[0])]
    said = tagged("name", [quoted(trial.label)]) + tagged("texts", texts) + ASK_JUDGE
    return make_ask(
        stage=form.test,
        feature=trial.feature,
        model=model,
        prompt_version=prompt.version,
        system=prompt.text,
        messages=(Turn("user", said),),
        schema=schema_of(form.answer),
        max_tokens=MAX_TOKENS,
    )


def verdict(answer: OneOfTwo | OneOfFour | YesOrNo, model: str) -> Verdict:
    """The choice as an index."""
    if isinstance(answer, YesOrNo):
        return Verdict(int(answer.answer == "yes"), model=model)
    return Verdict(LETTERS.index(answer.choice), model=model)
