"""Ask, see which features would push a word of the answer, and ask again with them turned down.

Start a server (`steersman serve`), then run this.
"""

from steersman import Client

MESSAGES = [{"role": "user", "content": "Tell me about dogs in one sentence."}]


def main(client: Client) -> None:
    answer = client.chat.completions.create(messages=MESSAGES, temperature=0, max_tokens=40)
    text = answer.choices[0].message.content
    print(f"Plain: {text}")
    result = client.features.attribute(
        [*MESSAGES, answer.choices[0].message], tokens=[0, 1, 2, 3, 4, 5], method="gradient", top_k=10
    )
    print("\nWhat would push its first words:")
    for each in result.attribution.top(5):
        print(f"  {each.feature:>5}  {each.attribution:+.2f}  {each.label}")
    edits = result.attribution.suggested_edits(2, strength=-0.6)
    steered = client.chat.completions.create(
        messages=MESSAGES, feature_edits=edits, temperature=0, max_tokens=40
    )
    print(f"\nWith the first two turned down: {steered.choices[0].message.content}")


if __name__ == "__main__":
    with Client() as client:
        main(client)
