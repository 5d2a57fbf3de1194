import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { ViewDefinition } from '../../../lib/definition/view-definition.js';
import { selectMeanDurations, selectViewEdges } from '../../../lib/postgres/graph.sql.js';
import { type LookRow, selectLook } from '../../../lib/postgres/look.sql.js';
import { selectRounds } from '../../../lib/postgres/rounds.sql.js';
import type { SqlStatement } from '../../../lib/postgres/sql-statement.js';
import type { DataSourceContext } from '../../../lib/definition/data-source.context.js';
import type { RefreshRunner } from '../../../lib/refresh/refresh.runner.js';
import { ChangeWatch } from '../../../lib/schedule/change-watch.js';

const SECONDS = 60;
const FAILURE_HOLD_MS = 15_000;

/** Polls are at least this far apart. */
const FASTEST_MS = 250;

const ON_WRITE = { onWrite: { debounceMs: 0, maxWaitMs: 0 } };
const SHORT_LIMIT = { maxStalenessMs: 1 };

function view(name: string, freshness: object, below: string[] = []): ViewDefinition {
  const dependsOn = below.map((each) => ({ schema: 'Odd "schema"', name: each }));
  const names = { schema: 'Odd "schema"', name };
  return { name: names, freshness, dependsOn, refresh: {} } as never;
}

type Run = () => Promise<unknown>;

const skipped = (reason: string): Run => {
  return () => Promise.resolve({ outcome: 'skipped', reason });
};

/** The constant part of a view's state: it has pending changes. */
const UNSEEN = {
  has_watermark: true,
  is_populated: true,
  is_altered: false,
  is_captured: true,
  is_watched: true,
  took_ms: 1,
};

const NOTHING = { views: [], viewOids: [], relations: [], since: null, isMadeByUsersWanted: false };

/** What a poll finds when nothing is remembered. */
const lookAt = (viewCount: number, now: number): LookRow => ({
  ...{
    now,
    snapshot: '1:1:',
    common: '',
    made_by_users: null,
    versions: '',
    logged: '',
    took_ms: 0,
  },
  states: Array<string>(viewCount).fill('1').join(' '),
});

/**
 * Counts what the polling does in a minute of constant writes.
 *
 * @param seen what else the views report; `null` if the database has none
 * @param onLook called during each poll
 */
async function minute(
  views: ViewDefinition[],
  run: (name: string) => Promise<unknown>,
  seen: object | null = {},
  onLook: (watch: ChangeWatch) => void = () => undefined,
): Promise<{ looks: number; runs: string[] }> {
  const counts = { looks: 0, runs: [] as string[] };
  const now = (): number => 1_000_000 + performance.now();
  const rows = (): unknown[] =>
    views.map(({ name }) => ({
      ...UNSEEN,
      schema_name: name.schema,
      view_name: name.name,
      now: now(),
      capture: null,
      pending_since: now() - 10,
      last_change_at: now() - 10,
      last_started_at: now() - 20,
      ...seen,
    }));
  const query = ({ text }: SqlStatement): Promise<unknown[]> => {
    const isGraph = [selectViewEdges(), selectMeanDurations('state', [])].some(
      (each) => each.text === text,
    );
    const isAside = isGraph || text === selectRounds('state', []).text;
    if (text === selectLook('state', NOTHING).text) {
      counts.looks++;
      onLook(watch);
      return Promise.resolve([lookAt(views.length, now())]);
    }
    return Promise.resolve(isAside || seen === null ? [] : rows());
  };
  const context = {
    name: 'default',
    options: { sweepIntervalMs: FAILURE_HOLD_MS },
    database: {
      stateSchema: 'state',
      bookkeeping: (work: (session: object) => unknown) => Promise.resolve(work({ query })),
    },
    views: { all: () => views, materialized: () => views },
    log: new Logger(),
  };
  const runner = {
    run: ({ definition }: { definition: ViewDefinition }) => {
      counts.runs.push(definition.name.name);
      return run(definition.name.name);
    },
  };
  const watch = new ChangeWatch(
    context as unknown as DataSourceContext,
    runner as unknown as RefreshRunner,
    { maybeKeep: () => undefined },
  );
  watch.start();
  await jest.advanceTimersByTimeAsync(SECONDS * 1_000);
  await watch.stop();
  return counts;
}

describe('the polling', () => {
  const one = [view('one', ON_WRITE)];
  const failing: Run = () => Promise.reject(new Error('division by zero'));
  const lasting =
    (ms: number): Run =>
    () =>
      new Promise((resolve) => setTimeout(() => resolve({ outcome: 'refreshed' }), ms));

  beforeEach(() => {
    jest.useFakeTimers();
    Logger.overrideLogger(false);
  });

  afterEach(() => {
    jest.useRealTimers();
    Logger.overrideLogger(['fatal']);
  });

  it.each<[string, ViewDefinition[], Run, number]>([
    ['is refreshed in no time', one, skipped('unchanged'), (SECONDS * 1_000) / FASTEST_MS],
    ['has been paused meanwhile', one, skipped('paused'), (SECONDS * 1_000) / FASTEST_MS],
    ['another process is refreshing', one, skipped('busy'), SECONDS],
    ['fails', one, failing, (SECONDS * 1_000) / FAILURE_HOLD_MS],
    ['takes its time', one, lasting(10_000), SECONDS / 10],
    ['takes longer than its limit', [view('one', SHORT_LIMIT)], lasting(10_000), SECONDS / 10],
  ])('looks and refreshes now and then while a view %s', async (_, views, run, most) => {
    const { looks, runs } = await minute(views, run);
    expect(runs.length).toBeGreaterThan(0);
    expect(runs.length).toBeLessThanOrEqual(most);
    expect(looks).toBeLessThanOrEqual((SECONDS * 1_000) / FASTEST_MS);
  });

  it('goes on while one refresh after the other ends', async () => {
    const views = Array.from({ length: 100 }, (_, index) => view(`${index}`, ON_WRITE));
    const { looks } = await minute(views, (name) => lasting(200 * (Number(name) + 1))());
    expect(looks).toBeGreaterThanOrEqual(SECONDS);
    expect(looks).toBeLessThanOrEqual((SECONDS * 1_000) / FASTEST_MS);
  });

  it('refreshes nothing, and becomes rare, while no view has pending changes', async () => {
    const { looks, runs } = await minute(one, failing, null);
    expect(runs).toEqual([]);
    expect(looks).toBeGreaterThan(0);
    expect(looks).toBeLessThanOrEqual(SECONDS);
  });

  it('happens again soon after a notification that came during a poll', async () => {
    const { looks } = await minute(one, failing, null, (watch) => watch.wake());
    expect(looks).toBeGreaterThan((SECONDS * 900) / FASTEST_MS);
    expect(looks).toBeLessThanOrEqual((SECONDS * 1_000) / FASTEST_MS);
  });

  it('is less frequent the longer it takes the server', async () => {
    const { looks } = await minute(one, skipped('unchanged'), { took_ms: 50 });
    expect(looks).toBeGreaterThan(SECONDS / 2);
    expect(looks).toBeLessThanOrEqual(SECONDS + 1);
  });

  it('tries a view above a failing one no more often than others', async () => {
    const views = [view('base', ON_WRITE), view('top', ON_WRITE, ['base'])];
    const { runs } = await minute(views, (name) =>
      name === 'base' ? failing() : skipped('busy')(),
    );
    expect(runs.filter((name) => name === 'base').length).toBeLessThanOrEqual(4);
    expect(runs.filter((name) => name === 'top').length).toBeLessThanOrEqual(SECONDS);
  });
});
