"""What tests of notebooks make of the messages of a kernel."""

from __future__ import annotations

from typing import Any

from notebook_kernel import Running


class Client:
    """A client whose first message has a wrong signature, and which has no reply."""

    def __init__(self) -> None:
        self.asked = 0

    def execute(self, _: str) -> str:
        return "cell"

    def kernel_info(self) -> str:
        self.asked += 1
        return f"question {self.asked}"

    def get_shell_msg(self, timeout: float) -> dict[str, Any]:
        if self.asked == 1:
            raise ValueError("Invalid Signature")
        return {"parent_header": {"msg_id": f"question {self.asked}"}}


def test_a_reply_that_was_joined_with_the_next_one_is_no_reply() -> None:
    client: Any = Client()
    assert Running(client, "1 + 1")._reply()["ename"] == "KeyboardInterrupt"
    assert client.asked == 2
