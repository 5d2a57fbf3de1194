import { describe, expect, it } from '@jest/globals';
import { chooseMode } from '../../../../lib/refresh/modes/modes.js';

const FOUND = { is_populated: true, has_usable_unique_index: true };
const USUAL = { choice: 'auto', strict: false, withData: true } as const;

describe('the mode', () => {
  it.each([
    ['concurrently', 'unique_index', {}, {}],
    ['blocking', 'unpopulated', {}, { is_populated: false }],
    ['blocking', 'no_unique_index', {}, { has_usable_unique_index: false }],
    ['blocking', 'no_unique_index', { choice: 'concurrently' }, { has_usable_unique_index: false }],
    ['blocking', 'requested', { choice: 'blocking' }, {}],
    ['blocking', 'with_no_data', { withData: false }, {}],
    ['swap', 'requested', { choice: 'swap' }, { has_usable_unique_index: false }],
    ['blocking', 'with_no_data', { choice: 'swap', withData: false }, {}],
  ] as const)('is %s because of %s', (mode, modeReason, requested, row) => {
    expect(chooseMode({ ...FOUND, ...row }, { ...USUAL, ...requested })).toEqual({
      mode,
      modeReason,
    });
  });
});
