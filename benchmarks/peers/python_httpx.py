# SPDX-License-Identifier: MIT
"""benchmarks: Python's httpx, on which its openai package stands."""

import httpx

import python_common


async def main(url, body, concurrency, seconds):
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    headers = {"Content-Type": "application/json"}
    async with httpx.AsyncClient(limits=limits, timeout=600, trust_env=False) as client:

        async def ask():
            response = await client.post(url, content=body, headers=headers)
            response.raise_for_status()
            return response.json()["choices"][0]["message"]["content"]

        await python_common.measure(ask, concurrency, seconds)


python_common.run(main, "httpx " + httpx.__version__)
