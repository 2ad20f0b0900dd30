"""See what a system prompt does inside the model: which features it switches on, and what it makes likelier.

Start a server (`steersman serve`), then run this.
"""

from steersman import Client

SYSTEM = "You are a pirate. You speak only in pirate slang."
QUESTION = {"role": "user", "content": "How are you today?"}
WITH = [{"role": "system", "content": SYSTEM}, QUESTION]
WITHOUT = [{"role": "system", "content": "You are a helpful assistant."}, QUESTION]


def main(client: Client) -> None:
    contrast = client.features.contrast([WITH], [WITHOUT], roles=["user", "assistant"], top_k=6)
    print("On the user's words, switched on by the system prompt:")
    for each in contrast.positive:
        print(
            f"  {each.feature:>5}  {each.positive_mean:5.2f} against {each.negative_mean:5.2f}  {each.label}"
        )
    plain = client.logits(WITHOUT, top_k=5)
    prompted = client.logits(WITH, top_k=5)
    print("\nFirst words of the answer:")
    print("  helpful assistant:", ", ".join(f"{t.token!r} {t.logprob:.1f}" for t in plain.data))
    print("  pirate:           ", ", ".join(f"{t.token!r} {t.logprob:.1f}" for t in prompted.data))


if __name__ == "__main__":
    with Client() as client:
        main(client)
