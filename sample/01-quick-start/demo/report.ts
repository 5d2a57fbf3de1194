import Table from 'cli-table3';
import { DASHBOARD_PATH, ENDPOINTS } from '../http/endpoints.constants.js';
import type { LoadResult } from '../tables/compat.loader.js';
import type { Timing } from './self-request.js';

export function describeLoad({ version, tables, wasLoaded }: LoadResult): string {
  const counts = tables
    .map(({ name, rowCount }) => `${rowCount.toLocaleString('en')} of ${name}`)
    .join(', ');
  const what = wasLoaded ? 'Loaded' : 'The tables are full already with';
  return `${what} @mdn/browser-compat-data ${version}: ${counts}`;
}

export function printTimings(timings: Timing[]): void {
  const table = new Table({
    head: ['GET', 'rows', 'view', 'live query', 'faster'],
    colAligns: ['left', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [] },
  });
  for (const { path, rowCount, viewMs, liveMs } of timings) {
    const ratio = Math.round(liveMs / viewMs);
    table.push([path, rowCount, `${viewMs} ms`, `${liveMs} ms`, `${ratio} x`]);
  }
  console.log(`${table.toString()}\n`);
}

/** Prints the URLs to open in a browser. */
export function printPages(baseUrl: string): void {
  console.log(`The page       ${baseUrl}/`);
  console.log(`The dashboard  ${baseUrl}${DASHBOARD_PATH}/\n`);
}

export function printUrls(baseUrl: string): void {
  console.log('Or try:\n');
  for (const { method, path, answers } of ENDPOINTS) {
    console.log(`  # ${answers}`);
    console.log(`  curl -s ${method === 'POST' ? '-X POST ' : ''}${baseUrl}${path}`);
  }
  console.log('\nbrowser_year is refreshed each minute; Ctrl-C stops and cleans up.\n');
}
