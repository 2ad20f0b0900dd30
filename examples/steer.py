"""Steer and attribute with the stock OpenAI client. Needs `make serve` in another terminal, and `openai`.

python examples/steer.py
"""

import sys
from typing import Any

from openai import OpenAI

MODEL = "smollm2-135m-instruct"
QUESTION = "What should I do this weekend?"
FEATURE = 885  # found with: curl 'http://127.0.0.1:8000/v1/features?query=food'
STRENGTH = 0.6


def ask(client: OpenAI, **extra: Any) -> Any:
    return client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": QUESTION}],
        max_tokens=48,
        temperature=0,
        extra_body=extra,
    )


def main(url: str = "http://127.0.0.1:8000/v1") -> None:
    client = OpenAI(base_url=url, api_key="none")

    plain = ask(client)
    print(f"plain:   {plain.choices[0].message.content}\n")

    edit = {"feature": FEATURE, "strength": STRENGTH}
    steered = ask(client, feature_edits=[edit])
    print(f"steered: {steered.choices[0].message.content}\n")
    done = steered.model_extra["steering"]["edits"][0]
    print(f"feature {done['feature']} ({done['label']}) set to {done['add']:.1f}", end=" ")
    print(
        f"at {done['tokens_edited']} tokens, where it was {done['mean_activation_before']:.2f} on average\n"
    )

    method = "gradient_x_activation"
    explained = ask(client, attribution={"tokens": [0, 1, 2], "top_k": 3, "method": method})
    for token in explained.model_extra["attribution"][0]["tokens"]:
        print(f"{token['token']!r} is {token['objective']:.1f} above the mean logit; the model used")
        for feature in token["features"]:
            print(f"  {feature['attribution']:+.2f}  feature {feature['feature']} ({feature['label']})")


if __name__ == "__main__":
    main(*sys.argv[1:])
