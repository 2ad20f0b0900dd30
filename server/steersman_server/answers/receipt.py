"""What the edits of a request really did."""

from collections.abc import Sequence

from steersman.types import AbortReport, AppliedEdit, SteeringReceipt
from steersman_engine.edits import EditReport
from steersman_server.answers.answer import Answer
from steersman_server.plans.plan import Plan
from steersman_server.plans.steering import Steering
from steersman_server.served import ServedModel


def receipt(plan: Plan, answers: Sequence[Answer], served: ServedModel) -> SteeringReceipt | None:
    """The receipt of a plan's answers; None without edits and conditions."""
    if not plan.steering:
        return None
    return SteeringReceipt(
        bundle=served.bundle,
        edits=applied(plan.steering, [answer.reports for answer in answers]),
        seed=plan.seed,
        abort=[
            report
            for index, answer in enumerate(answers)
            if (report := _abort(index, answer, served)) is not None
        ],
    )


def applied(steering: Steering, reports: Sequence[Sequence[EditReport]]) -> list[AppliedEdit]:
    """The edits with what they did, in all answers together; `reports` has a list for each answer."""
    made = []
    for index, (edit, feature, affine) in enumerate(
        zip(steering.edits, steering.features, steering.affine, strict=True)
    ):
        each = [answer[index] for answer in reports]
        num_tokens = sum(report.tokens_edited for report in each)
        total = sum(report.mean_activation_before * report.tokens_edited for report in each)
        made.append(
            AppliedEdit(
                feature=edit.feature,
                label=feature.label,
                mode=edit.mode,
                strength=edit.strength,
                unit=edit.unit,
                mul=affine.mul,
                add=affine.add,
                tokens_edited=num_tokens,
                mean_activation_before=float(f"{total / num_tokens:.6g}") if num_tokens else 0.0,
                phase=edit.phase,
                roles=edit.roles,
                when=edit.when,
            )
        )
    return made


def _abort(choice: int, answer: Answer, served: ServedModel) -> AbortReport | None:
    if answer.abort is None:
        return None
    prompt, position = answer.request.prompt.token_ids, answer.abort.position
    whole = prompt + answer.token_ids
    return AbortReport(
        choice=choice,
        condition=answer.abort.condition,
        position=position,
        index=position - len(prompt) if position >= len(prompt) else None,
        token=served.texts.text(whole[position]) if position < len(whole) else "",
    )
