# SPDX-License-Identifier: MIT
"""benchmarks: Python's aiohttp."""

import aiohttp

import python_common


async def main(url, body, concurrency, seconds):
    connector = aiohttp.TCPConnector(limit=concurrency)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers, raise_for_status=True) as session:

        async def ask():
            async with session.post(url, data=body) as response:
                return (await response.json())["choices"][0]["message"]["content"]

        await python_common.measure(ask, concurrency, seconds)


python_common.run(main, "aiohttp " + aiohttp.__version__)
