"""Answer one question at many strengths of a feature, and plot how far each strays from the plain model.

Start a server (`steersman serve`), then run this. The plot is of text: the mean log probability that the
unsteered model gives each answer, where lower is further from what it would say.
"""

from steersman import Client, FeatureEdit

MESSAGES = [{"role": "user", "content": "What should I do this weekend?"}]
STRENGTHS = [-0.8, -0.4, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
WIDTH = 40


def main(client: Client) -> None:
    food = client.features.search("food", limit=1).data[0]
    print(f"Feature {food.index}: {food.label}\n")
    sets = [[FeatureEdit(food.index, strength)] if strength else [] for strength in STRENGTHS]
    sweep = client.sweeps.create(messages=MESSAGES, sweep=sets, temperature=0, max_tokens=24, score=True)
    lowest = min(row.plain_logprob or 0 for row in sweep.data) or -1
    for strength, row in zip(STRENGTHS, sweep.data, strict=True):
        logprob = row.plain_logprob or 0.0
        bar = "█" * round(WIDTH * logprob / lowest)
        print(f"{strength:+.1f}  {logprob:6.2f}  {bar}")
    print()
    for strength, row in zip(STRENGTHS, sweep.data, strict=True):
        print(f"{strength:+.1f}  {row.message.content!r}")


if __name__ == "__main__":
    with Client() as client:
        main(client)
