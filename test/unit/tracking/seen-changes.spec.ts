import { describe, expect, it } from '@jest/globals';
import type { ViewDefinition } from '../../../lib/definition/view-definition.js';
import type { PendingChanges } from '../../../lib/tracking/pending-changes.js';
import { successStatements, writtenSince } from '../../../lib/tracking/seen-changes.js';

const STARTED_AT = 1_000;
const LAST_STARTED_AT = 500;

describe('writtenSince', () => {
  it.each([
    ['the oldest write', true, 300, LAST_STARTED_AT, 300],
    ['its own start, where nothing was written', true, null, LAST_STARTED_AT, STARTED_AT],
    ['the rows of before, after what leaves no row', false, 700, LAST_STARTED_AT, LAST_STARTED_AT],
    ['an older write than that', false, 300, LAST_STARTED_AT, 300],
    ['the beginning of time, where there were none', false, 300, null, 0],
  ])('is %s', (_, isStored, pendingSince, lastStartedAt, expected) => {
    const changes = { isComplete: isStored, since: pendingSince };
    expect(writtenSince(changes, STARTED_AT, lastStartedAt)).toBe(expected);
  });

  it('is as old as the previous rows for a view that tracks nothing', () => {
    expect(writtenSince(undefined, STARTED_AT, LAST_STARTED_AT)).toBe(LAST_STARTED_AT);
  });
});

describe('successStatements', () => {
  it('store the snapshot of the pending changes, so that these count as seen', () => {
    const definition = { freshness: {} } as ViewDefinition;
    const view = { schema: 'public', name: 'daily' };
    const run = { view, startedAt: STARTED_AT, snapshot: '10:10:' } as Parameters<
      typeof successStatements
    >[2];
    const valuesAfter = (pending?: PendingChanges): unknown[] | undefined =>
      successStatements('state', definition, run, { pending, lastStartedAt: null })[0]?.values;
    expect(valuesAfter()).toContain('10:10:');
    const pending = { snapshot: '11:11:', hasSameDefinitions: true } as PendingChanges;
    expect(valuesAfter(pending)).toContain('11:11:');
    expect(valuesAfter(pending)).not.toContain('10:10:');
  });
});
