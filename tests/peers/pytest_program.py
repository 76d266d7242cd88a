"""Run tests with pytest: a program that `peers.running` starts.

Its one argument is the file of an order. Children that are spawned import this
module too, so it does nothing unless it is the main program.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from peers.reporting import Report, is_chosen, read_order, set_up, shuffled


def _plugin(order: Any) -> Any:
    import pytest

    class Plugin:
        """Chooses tests, and writes what happens to the report."""

        report = Report(order.report)

        @pytest.hookimpl(trylast=True)
        def pytest_collection_modifyitems(self, items: list[Any], config: Any) -> None:
            kept = [item for item in items if is_chosen(item.nodeid, order)]
            if order.shuffle:
                kept = shuffled(kept, lambda item: item.nodeid.split("::"), order.seed)
            items[:] = kept

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
            self.report.start(item.nodeid)
            result = yield
            self.report.stop(item.nodeid)
            return result  # pytest's way

        def pytest_runtest_logreport(self, report: Any) -> None:
            if report.failed:
                self.report.write(report.nodeid, "failed", report.longreprtext)
            elif report.skipped:  # expected failures, too
                self.report.write(report.nodeid, "skipped", str(report.longrepr))
            elif report.when == "call":
                self.report.write(report.nodeid, "passed")

        def pytest_collectreport(self, report: Any) -> None:
            if report.failed:
                self.report.write(report.nodeid, "failed", report.longreprtext)

    return Plugin()


def main() -> None:
    """Run the tests of an order."""
    order = read_order(sys.argv[1])
    set_up(order)
    import pytest

    plugin = _plugin(order)
    status = pytest.main(order.arguments, plugins=[plugin])
    if status not in (0, 1, 5):
        sys.exit(status)  # interrupted, or pytest itself failed
    plugin.report.write("", "end")


if __name__ == "__main__":
    main()
