import { describe, expect, it } from '@jest/globals';
import { wakeUpDifferences, wakeUpSteps } from '../../../lib/tracking/wake-up.js';

describe('wakeUpSteps', () => {
  it('has nothing to do if it is as wanted', () => {
    expect(wakeUpDifferences('poll', undefined, 'own')).toEqual([]);
    expect(wakeUpDifferences('notify', { is_complete: true }, 'own')).toEqual([]);
  });

  it.each([
    ['notify', undefined, ['LOCK', 'CREATE', 'ALTER'], ['LOCK', 'DROP'], 'SHARE ROW EXCLUSIVE'],
    [
      'notify',
      { is_complete: false },
      ['LOCK', 'DROP', 'CREATE', 'ALTER'],
      ['LOCK', 'DROP'],
      'ACCESS EXCLUSIVE',
    ],
    [
      'poll',
      { is_complete: true },
      ['LOCK', 'DROP'],
      ['LOCK', 'CREATE', 'ALTER'],
      'ACCESS EXCLUSIVE',
    ],
  ] as const)('makes it %s if there is %p', (wanted, trigger, commands, back, lock) => {
    const [step] = wakeUpSteps(wakeUpDifferences(wanted, trigger, 'own'), 'own');
    const { statements = [], undo = [] } = step ?? {};
    expect(statements.map(({ text }) => text.split(' ')[0])).toEqual(commands);
    expect(undo.map(({ text }) => text.split(' ')[0])).toEqual(back);
    expect(statements[0]?.text).toBe(`LOCK TABLE ONLY "own"."change_log" IN ${lock} MODE`);
    expect(step?.lock).toContain(lock);
    expect(undo[0]?.text).toContain('LOCK TABLE ONLY "own"."change_log"');
  });
});
