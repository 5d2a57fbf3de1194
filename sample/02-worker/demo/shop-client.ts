import { setTimeout as delay } from 'node:timers/promises';

const LOOK_INTERVAL_MS = 100;
const PATIENCE_MS = 30_000;

/** A scheduled run, as reported by a web process. Times are in milliseconds since the epoch. */
export interface ScheduledRun {
  tickAt: number;
  /** The process that ran it. */
  pid: number;
}

export interface ShopSales {
  ageMs: number;
  isStale: boolean;
  nextTickAt: number;
  rows: { product: string; sold: number }[];
}

export async function sales(webUrl: string): Promise<ShopSales> {
  const { nextTick, ...rest } = await json<ShopSales & { nextTick: string }>(`${webUrl}/sales`);
  return { ...rest, nextTickAt: Date.parse(nextTick) };
}

export interface ShopTotal {
  sales: number;
  sold: number;
  isUnchanged: boolean;
}

export async function total(webUrl: string): Promise<ShopTotal> {
  return json(`${webUrl}/total`);
}

/** The successful refreshes of the total that writes triggered. */
export async function writeRuns(webUrl: string): Promise<{ pid: number }[]> {
  const runs = await json<{ trigger: string; outcome: string; host: string }[]>(
    `${webUrl}/total/runs`,
  );
  return runs
    .filter(({ trigger, outcome }) => trigger === 'write' && outcome === 'refreshed')
    .map(({ host }) => ({ pid: pidOf(host) }));
}

export async function refresh(webUrl: string): Promise<{ outcome: string; durationMs: number }> {
  return json(`${webUrl}/refresh`, { method: 'POST' });
}

/** The successful scheduled runs, oldest first. */
export async function scheduledRuns(webUrl: string): Promise<ScheduledRun[]> {
  const runs = await json<{ tick?: string; outcome: string; host: string }[]>(`${webUrl}/runs`);
  return runs
    .filter(({ outcome }) => outcome === 'refreshed')
    .flatMap(({ tick, host }) =>
      tick === undefined ? [] : [{ tickAt: Date.parse(tick), pid: pidOf(host) }],
    )
    .reverse();
}

function pidOf(host: string): number {
  return Number(host.split(':').at(-1));
}

/** Calls `look` until it returns a value. */
export async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (const endAt = Date.now() + PATIENCE_MS; Date.now() < endAt; await delay(LOOK_INTERVAL_MS)) {
    const found = await look();
    if (found !== undefined) {
      return found;
    }
  }
  throw new Error(`What was waited for has not happened within ${PATIENCE_MS} ms`);
}

async function json<T>(url: string, init?: RequestInit): Promise<T> {
  const response = await fetch(url, init);
  if (!response.ok) {
    throw new Error(`${init?.method ?? 'GET'} ${url} answered ${response.status}`);
  }
  return (await response.json()) as T;
}
