"""Stop an answer as soon as a feature fires: here, when it turns to food.

Start a server (`steersman serve`), then run this.
"""

from steersman import Client

MESSAGES = [{"role": "user", "content": "Describe a day at a summer fair, from arrival to dinner."}]


def main(client: Client) -> None:
    food = client.features.search("food", limit=1).data[0]
    print(f"Stopping where feature {food.index} ({food.label}) goes above 0.5 h_max:\n")
    with client.chat.completions.create(
        messages=MESSAGES, abort_when=[food > 0.5], temperature=0, max_tokens=120, stream=True
    ) as stream:
        for chunk in stream:
            for choice in chunk.choices:
                print(choice.delta.content or "", end="", flush=True)
    print(f"\n\nIt ended with {stream.finish_reason!r}.")
    for abort in stream.steering.abort if stream.steering else []:
        print(f"Condition {abort.condition} held at token {abort.index} of the answer, {abort.token!r}.")


if __name__ == "__main__":
    with Client() as client:
        main(client)
