"""Start a kernel, show a bundle in it, and ask its widget as a notebook's front end does; print
what came back as a line of JSON. Runs beside Jupyter's packages for test_notebook_kernel.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

SECONDS = 300

Message = dict[str, Any]
"""A message of Jupyter's protocol, whose contents differ by its type."""


def main(bundle: str, question: str) -> None:
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        code = f"import oriel\noriel.show({bundle!r}, [5, 17, 3], activations=['attn_probs'])"
        told = list(heard(client, client.execute(code)))
        shown = [each["content"]["data"] for each in told if "data" in kind_of(each)]
        [opened] = [
            each["content"]
            for each in told
            if each["msg_type"] == "comm_open" and "token" in state_of(each)
        ]
        link = opened["comm_id"]
        state = opened["data"]["state"]
        answer = asked(client, link, json.loads(question))
        refused = asked(client, link, {"bad": "question"})
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    print(
        json.dumps(
            {
                "kinds": [sorted(each) for each in shown],
                "html": shown[0]["text/html"],
                "token": state["token"],
                "script": state["_esm"],
                "answer": answer,
                "refused": refused,
            }
        )
    )


def kind_of(message: Message) -> Message:
    """Return the content of an output; empty for any other message."""
    is_output = message["msg_type"] in ("display_data", "execute_result")
    found: Message = message["content"] if is_output else {}
    return found


def state_of(message: Message) -> Message:
    found: Message = message["content"]["data"].get("state", {})
    return found


def asked(client: BlockingKernelClient, link: str, question: object) -> object:
    """Send a question to the widget. Return the content of its answer."""
    data = {"method": "custom", "content": {"question": question}}
    message = client.session.msg("comm_msg", {"comm_id": link, "data": data})
    client.shell_channel.send(message)
    found = [
        each["content"]["data"]["content"]
        for each in heard(client, message["header"]["msg_id"])
        if each["msg_type"] == "comm_msg" and each["content"]["comm_id"] == link
    ]
    return found[0]


def heard(client: BlockingKernelClient, request: str) -> Iterator[Message]:
    """Return what the kernel publishes for a request, until it is idle again."""
    while True:
        message = client.get_iopub_msg(timeout=SECONDS)
        if message["parent_header"].get("msg_id") != request:
            continue
        if message["msg_type"] == "error":
            raise SystemExit("\n".join(message["content"]["traceback"]))
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return
        yield message


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
