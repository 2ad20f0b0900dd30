"""Find features by examples of what you want more and less of, then steer with the best one.

Start a server (`steersman serve`), then run this.
"""

from steersman import Client, FeatureEdit

RECIPES = [
    "How do I bake bread?",
    "What goes into a tomato soup?",
    "Give me a recipe for pancakes.",
    "How long do I boil an egg?",
]
OTHERS = [
    "How do I fix a flat tyre?",
    "What is a prime number?",
    "Name a famous painter.",
    "Why is the sky blue?",
]
QUESTION = "What should I do this weekend?"


def main(client: Client) -> None:
    found = client.features.contrast(
        [[{"role": "user", "content": text}] for text in RECIPES],
        [[{"role": "user", "content": text}] for text in OTHERS],
        roles=["user"],
        top_k=5,
    )
    print("More about food:")
    for each in found.positive:
        held_out = "–" if each.held_out_auc is None else f"{each.held_out_auc:.2f}"
        print(f"  {each.feature:>5}  score {each.score:+.2f}  held-out AUC {held_out}  {each.label}")
    best = found.positive[0]
    for edits in ([], [FeatureEdit(best.feature, 0.5)]):
        answer = client.chat.completions.create(
            messages=[{"role": "user", "content": QUESTION}],
            feature_edits=edits,
            temperature=0,
            max_tokens=40,
        )
        print(f"\n{'Steered' if edits else 'Plain'}: {answer.choices[0].message.content}")


if __name__ == "__main__":
    with Client() as client:
        main(client)
