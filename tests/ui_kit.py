"""Build parts of the page, and ask them, in tests that have no browser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


def in_a_loop(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """What a coroutine returns, in a thread of its own: the browser tests leave a loop running in the main one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(coroutine)).result()


def built(make: Callable[[], Result]) -> Result:
    """What `make` returns, called where a loop runs: elsewhere Gradio makes event loops that it never closes."""

    async def inside() -> Result:
        return make()

    return in_a_loop(inside())
