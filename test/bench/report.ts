import Table from 'cli-table3';
import { availableParallelism } from 'node:os';
import type { BenchmarkReport, CountTable } from './benchmark.js';
import type { Comparison, Measurement, Ratio } from './side-by-side.js';

const LEGEND =
  'Ratios: the median of the rounds, each beside the baseline of the same round (min to max).';

/** One JSON document with all numbers. */
export function toJson(reports: BenchmarkReport[]): string {
  return JSON.stringify({ ...machine(), benchmarks: reports }, undefined, 2);
}

/** Human-readable tables. */
export function toText(reports: BenchmarkReport[]): string {
  const { node, cpuCount } = machine();
  const heading = `Node ${node}, ${cpuCount} CPUs. ${LEGEND}`;
  return [heading, ...reports.map(reportText)].join('\n\n');
}

function machine(): { node: string; cpuCount: number } {
  return { node: process.versions.node, cpuCount: availableParallelism() };
}

function reportText({
  name,
  description,
  durationMs,
  facts,
  comparisons,
  counts = [],
}: BenchmarkReport): string {
  return [
    `${name}: ${description} (${(durationMs / 1_000).toFixed(1)} s)`,
    ...Object.entries(facts).map(([fact, value]) => `  ${fact}: ${shown(value)}`),
    ...comparisons.map(comparisonText),
    ...counts.map(countText),
  ].join('\n');
}

function shown(value: string | number): string {
  return typeof value === 'number' ? value.toLocaleString('en') : value;
}

function comparisonText({ title, rounds, measurements }: Comparison): string {
  const baselines = measurements[0]?.ratios.map(({ baseline }) => `x ${baseline}`) ?? [];
  const table = new Table({
    head: [`${title}, ${rounds} rounds`, 'calls', 'median ms', 'p95 ms', ...baselines],
    colAligns: ['left', 'right', 'right', 'right', ...baselines.map(() => 'right' as const)],
    style: { head: [], border: [], compact: true },
  });
  table.push(...measurements.map(row));
  return table.toString();
}

function countText({ title, columns, rows }: CountTable): string {
  const table = new Table({
    head: [title, ...columns],
    colAligns: ['left', ...columns.map(() => 'right' as const)],
    style: { head: [], border: [], compact: true },
  });
  table.push(...rows.map(({ name, counts }) => [name, ...counts.map(String)]));
  return table.toString();
}

function row({ way, callCount, medianMs, p95Ms, ratios }: Measurement): string[] {
  return [way, String(callCount), significant(medianMs), significant(p95Ms), ...ratios.map(range)];
}

function range({ median, min, max }: Ratio): string {
  return min === max ? times(median) : `${times(median)} (${times(min)} to ${times(max)})`;
}

/** Shows a ratio below 0.1 as a fraction, which is easier to read. */
function times(ratio: number): string {
  return ratio < 0.1 ? `1/${significant(1 / ratio)}` : significant(ratio);
}

function significant(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
