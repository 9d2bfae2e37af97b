"""Generate with ONNX Runtime GenAI. Reads the request of test_libraries.py on standard input and
prints the tokens after each prompt."""

from __future__ import annotations

import json
import sys

import numpy as np
import onnxruntime_genai


def main() -> None:
    asked = json.load(sys.stdin)
    model = onnxruntime_genai.Model(asked["folder"])
    longest = max(map(len, asked["prompts"]))
    # It has no other padding than behind the text.
    ids = [prompt + [asked["pad"]] * (longest - len(prompt)) for prompt in asked["prompts"]]
    settings = onnxruntime_genai.GeneratorParams(model)
    settings.set_search_options(
        batch_size=len(ids), max_length=longest + asked["new_tokens"], **asked["how"]
    )
    generator = onnxruntime_genai.Generator(model, settings)
    generator.append_tokens(np.array(ids, dtype=np.int32))
    while not generator.is_done():
        generator.generate_next_token()
    made = [generator.get_sequence(index)[longest:] for index in range(len(ids))]
    print(json.dumps([list(map(int, tokens)) for tokens in made]))


main()
