import { describe, expect, it } from '@jest/globals';
import type { ViewDefinition } from '../../../lib/definition/view-definition.js';
import type { PendingChanges } from '../../../lib/tracking/pending-changes.js';
import { decide } from '../../../lib/schedule/due-views.js';

const NOW = 100_000;
const ON_WRITE = { onWrite: { debounceMs: 1_000, maxWaitMs: 5_000 } };

interface Case {
  freshness?: object;
  since?: number;
  lastAt?: number;
}

function changes({ freshness = ON_WRITE, since, lastAt = since }: Case): PendingChanges {
  return {
    definition: { freshness } as ViewDefinition,
    now: NOW,
    since: since ?? null,
    lastAt: lastAt ?? null,
    isAltered: false,
    isEmpty: false,
    isCaptured: true,
    isWatched: true,
    rowsSince: 0,
  } as PendingChanges;
}

const decision = (
  views: Record<string, Case>,
  dependencies: Record<string, string[]> = {},
): Record<string, string> => {
  const open = new Map(Object.entries(views).map(([key, each]) => [key, changes(each)]));
  const below = Object.keys(views).map((key) => [key, new Set(dependencies[key])] as const);
  const { due } = decide(open, { dependencies: new Map(below), durationsMs: new Map() });
  return Object.fromEntries(due);
};

describe('decide', () => {
  it('picks the views whose writes have waited long enough, and no others', () => {
    expect(
      decision({
        quiet: {},
        fresh: { since: NOW - 500 },
        due: { since: NOW - 1_500 },
        busy: { since: NOW - 5_500, lastAt: NOW },
      }),
    ).toEqual({ due: 'write', busy: 'write' });
  });

  it('lets a view wait for one below that will be refreshed soon', () => {
    const views = { base: { since: NOW - 900 }, top: { since: NOW - 1_100 } };
    expect(decision(views, { top: ['base'] })).toEqual({});
    expect(decision(views, {})).toEqual({ top: 'write' });
  });

  it('lets it wait no longer than its maxWait', () => {
    const views = { base: { since: NOW - 900 }, top: { since: NOW - 5_000, lastAt: NOW } };
    expect(decision(views, { top: ['base'] })).toEqual({ top: 'write' });
  });

  it('refreshes it together with a due one below', () => {
    const views = { base: { since: NOW - 1_000 }, top: { since: NOW - 1_100 } };
    expect(decision(views, { top: ['base'] })).toEqual({ base: 'write', top: 'write' });
  });

  it('refreshes the views below one with maxStaleness in time', () => {
    const top = { freshness: { maxStalenessMs: 60_000 } };
    const own = { freshness: { readsSources: true }, since: NOW - 60_000 };
    const base = { freshness: { readsSources: true }, since: NOW - 60_000 };
    expect(decision({ top, base, own }, { top: ['base'] })).toEqual({
      top: 'staleness',
      base: 'staleness',
    });
    expect(decision({ top, base: { ...base, since: NOW - 6_000 } }, { top: ['base'] })).toEqual({});
  });
});
