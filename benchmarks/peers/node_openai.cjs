// SPDX-License-Identifier: MIT
// benchmarks: OpenAI's own client for Node. The arguments are --check, or: base URL, body, concurrency, seconds.
'use strict';

const openai = require('openai');

async function keepBusy(ask, concurrency, seconds) {
  const latencies = [];
  const until = performance.now() + seconds * 1000;
  async function call() {
    for (let begun = performance.now(); begun < until;) {
      if (!(await ask())) throw new Error('an answer without a text');
      const now = performance.now();
      latencies.push((now - begun) / 1000);
      begun = now;
    }
  }
  await Promise.all(Array.from({ length: concurrency }, call));
  return latencies;
}

async function main(baseURL, body, concurrency, seconds) {
  const client = new openai.OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
  const request = JSON.parse(body);
  const ask = async () => (await client.chat.completions.create(request)).choices[0].message.content;
  await keepBusy(ask, concurrency, seconds / 2); // not measured: connections are made, code is compiled
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const latencies = (await keepBusy(ask, concurrency, seconds)).sort((a, b) => a - b);
  const used = process.cpuUsage(cpu);
  const figures = {
    requests: latencies.length,
    seconds: (performance.now() - begun) / 1000,
    cpu_seconds: (used.user + used.system) / 1e6,
    p50: latencies[Math.floor(latencies.length / 2)],
    p99: latencies[Math.floor((latencies.length * 99) / 100)],
  };
  process.stdout.write(JSON.stringify(figures) + '\n', () => process.exit(0));
}

if (process.argv[2] === '--check') {
  console.log('openai ' + require('openai/version').VERSION + ', node ' + process.version);
} else {
  const [baseURL, body, concurrency, seconds] = process.argv.slice(2);
  main(baseURL, body, Number(concurrency), Number(seconds));
}
