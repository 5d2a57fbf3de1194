import 'reflect-metadata';
import { parseArgs } from 'node:util';
import type { Benchmark, BenchmarkReport } from './benchmark.js';
import { capacityBenchmark } from './capacity.bench.js';
import { captureBenchmark } from './capture.bench.js';
import { dashboardBenchmark } from './dashboard.bench.js';
import { cliBenchmark } from './cli.bench.js';
import { fleetBenchmark } from './fleet.bench.js';
import { graphBenchmark } from './graph.bench.js';
import { clusterBenchmark } from './cluster.bench.js';
import { largeBenchmark } from './large.bench.js';
import { readBenchmark } from './read.bench.js';
import { refreshBenchmark } from './refresh.bench.js';
import { toJson, toText } from './report.js';
import { standbyBenchmark } from './standby.bench.js';
import { swapBenchmark } from './swap.bench.js';

const BENCHMARKS = [
  readBenchmark,
  refreshBenchmark,
  clusterBenchmark,
  graphBenchmark,
  swapBenchmark,
  captureBenchmark,
  largeBenchmark,
  fleetBenchmark,
  capacityBenchmark,
  cliBenchmark,
  dashboardBenchmark,
  standbyBenchmark,
];

const HELP = `npm run bench -- [--json] [--help] [name ...]

Measures ways of doing the same thing side by side. Without a name, all of these:

${BENCHMARKS.map(({ name, description }) => `  ${name.padEnd(10)}${description}`).join('\n')}

  --json    one JSON document on stdout instead of tables (npm needs \`npm run -s bench -- --json\`)
  --help    this text

Each has a database of its own, on a PostgreSQL server that is started for it, or on DATABASE_URL.`;

async function main(): Promise<void> {
  const { names, json, help } = readArguments();
  if (help) {
    console.log(HELP);
    return;
  }
  const reports: BenchmarkReport[] = [];
  for (const benchmark of BENCHMARKS) {
    if (names.length === 0 || names.includes(benchmark.name)) {
      reports.push(await report(benchmark));
    }
  }
  console.log(json ? toJson(reports) : toText(reports));
}

function readArguments(): { names: string[]; json?: boolean; help?: boolean } {
  try {
    const { values, positionals: names } = parseArgs({
      allowPositionals: true,
      options: { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    });
    const unknown = names.find((name) => !BENCHMARKS.some((each) => each.name === name));
    if (unknown !== undefined) {
      throw new Error(`There is no benchmark '${unknown}'.`);
    }
    return { ...values, names };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`);
    process.exit(2);
  }
}

async function report({ name, description, run }: Benchmark): Promise<BenchmarkReport> {
  const startedAtMs = performance.now();
  const outcome = await run((message) => console.error(`${name}: ${message}`));
  return { name, description, durationMs: performance.now() - startedAtMs, ...outcome };
}

// Exits, because a signal would end the process without its exit handlers, which stop the started server.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => process.exit(1));
}
await main();
