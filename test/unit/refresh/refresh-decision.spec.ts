import { describe, expect, it } from '@jest/globals';
import type { RefreshPreconditionRow } from '../../../lib/postgres/refresh.sql.js';
import { isAnalyzeDue, isServed, skipReason } from '../../../lib/refresh/refresh-decision.js';
import type { RefreshPolicy, RefreshRequest } from '../../../lib/refresh/refresh-request.js';

const found = (row: Partial<RefreshPreconditionRow> = {}): RefreshPreconditionRow =>
  ({ is_populated: true, has_usable_unique_index: true, ...row }) as RefreshPreconditionRow;

describe('a skip', () => {
  const tick = new Date(0);
  const request = ({ tick: of, ...policy }: Partial<RefreshPolicy> & { tick?: Date }) =>
    ({ tick: of, policy }) as RefreshRequest;

  it.each([
    ['tick_done', { tick }, { is_tick_done: true, is_tick_early: true, is_paused: true }],
    ['tick_early', { tick }, { is_tick_early: true, is_backing_off: true }],
    ['paused', { tick, skipsPaused: true }, { is_paused: true, is_backing_off: true }],
    ['backing_off', { tick }, { is_backing_off: true }],
    ['min_interval', { keepsMinInterval: true }, { is_too_soon: true }],
    [undefined, { keepsMinInterval: true }, { is_too_soon: true, is_populated: false }],
    [undefined, {}, { is_too_soon: true, is_paused: true, is_backing_off: true }],
    [undefined, { tick }, { is_too_soon: true }],
    [undefined, { tick, skipsPaused: true, keepsMinInterval: true }, {}],
  ] as const)('is for %s', (reason, of, row) => {
    expect(skipReason(found(row), request(of), false)).toBe(reason);
  });
});

describe('a success that serves', () => {
  const served = (startedAt: number | null, sinceRequestMs: number): boolean =>
    isServed(found({ started_at: 100_000, last_started_at: startedAt }), sinceRequestMs);

  it('began after the request, with a margin for precision and clock drift', () => {
    expect(served(99_002, 1_000)).toBe(false);
    expect(served(99_003, 1_000)).toBe(true);
    expect(served(99_000, 1_000)).toBe(false);
    expect(served(90_000, 1_000)).toBe(false);
    expect(served(null, 1_000)).toBe(false);
  });
});

it('analyses after more than 50 rows and a tenth of the view', () => {
  expect([isAnalyzeDue(50, -1), isAnalyzeDue(51, -1)]).toEqual([false, true]);
  expect([isAnalyzeDue(150, 1_000), isAnalyzeDue(151, 1_000)]).toEqual([false, true]);
});
