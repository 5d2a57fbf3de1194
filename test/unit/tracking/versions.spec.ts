import { describe, expect, it } from '@jest/globals';
import type { LookRow } from '../../../lib/postgres/look.sql.js';
import { Versions } from '../../../lib/tracking/versions.js';

const ROW: LookRow = {
  ...{ now: 1_000, snapshot: '1:1:', common: 'same', made_by_users: null },
  ...{ states: '', versions: '', logged: '', took_ms: 0 },
};

const versions = (row: Partial<LookRow>): Versions => new Versions({ ...ROW, ...row }, [], []);

describe('the versions at a look', () => {
  it.each<[string, Partial<LookRow>, boolean]>([
    ['later, with the same of all views', { now: 1_001 }, true],
    ['at the same time', {}, true],
    ['later, with something else of all views', { now: 1_001, common: 'other' }, false],
    ['after the clock went back', { now: 999 }, false],
  ])('%s: whether anything of the look before holds', (_, row, expected) => {
    expect(versions(row).areComparableTo(versions({}))).toBe(expected);
  });
});
