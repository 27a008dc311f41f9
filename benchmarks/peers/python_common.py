# SPDX-License-Identifier: MIT
"""benchmarks: what the Python clients share: callers that keep a server busy, and the figures of their process."""

import asyncio
import json
import resource
import sys
import time


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def keep_busy(ask, concurrency, seconds):
    """Calls ask() `concurrency` times at once for so long; gives the latencies of all."""
    latencies = []
    until = time.perf_counter() + seconds

    async def call():
        begun = time.perf_counter()
        while begun < until:
            if not await ask():
                raise RuntimeError("an answer without a text")
            now = time.perf_counter()
            latencies.append(now - begun)
            begun = now

    await asyncio.gather(*(call() for _ in range(concurrency)))
    return latencies


async def measure(ask, concurrency, seconds):
    await keep_busy(ask, concurrency, seconds / 2)  # not measured: connections are made, caches filled
    cpu, begun = cpu_seconds(), time.perf_counter()
    latencies = sorted(await keep_busy(ask, concurrency, seconds))
    print(
        json.dumps(
            {
                "requests": len(latencies),
                "seconds": time.perf_counter() - begun,
                "cpu_seconds": cpu_seconds() - cpu,
                "p50": latencies[len(latencies) // 2],
                "p99": latencies[len(latencies) * 99 // 100],
            }
        )
    )


def run(main, version):
    """The arguments are --check, or: base URL, body, concurrency, seconds."""
    if sys.argv[1:] == ["--check"]:
        print(version)
        return
    base_url, body, concurrency, seconds = sys.argv[1:]
    asyncio.run(main(base_url + "/chat/completions", body.encode(), int(concurrency), float(seconds)))
