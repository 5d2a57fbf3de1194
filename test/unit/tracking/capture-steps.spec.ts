import { describe, expect, it } from '@jest/globals';
import type { CaptureNeed } from '../../../lib/tracking/capture-needs.js';
import { type CaptureStep, captureSteps } from '../../../lib/tracking/capture-steps.js';
import { diffSchema, isEmptyDiff, type SchemaDiff } from '../../../lib/schema/schema-diff.js';
import { withCaptures } from '../../../lib/schema/tracked-diff.js';
import { databaseState, declared, deployed } from '../../support/schema-fixtures.js';

const need = (name: string, ...views: string[]): [string, CaptureNeed] => [
  `"public"."${name}"`,
  { table: { schema: 'public', name }, views: new Set(views), isLeftOver: false },
];
const captured = (name: string, is_complete = true) => ({
  schema_name: 'public',
  table_name: name,
  is_complete,
});

function diff(
  needs: [string, CaptureNeed][],
  rows: ReturnType<typeof captured>[],
  wakeUp: 'poll' | 'notify' = 'poll',
  wakeUpTrigger?: { is_complete: boolean },
): SchemaDiff {
  const state = databaseState([deployed('a'), deployed('b')]);
  const none = { comparisons: new Map(), renames: [], application: 'tests' };
  const views = [declared('a'), declared('b')];
  return withCaptures(
    diffSchema(views, state, none),
    { tables: new Map(needs), missing: [] },
    { ...state, captured: rows, wakeUpTrigger },
    { mayNarrow: true, wakeUp },
  );
}

const stepsOf = ({ views, captures }: SchemaDiff, stateSchema: string): CaptureStep[] =>
  captureSteps(
    views.flatMap(({ differences }) => differences),
    captures,
    stateSchema,
  );

const firstWords = (statements: { text: string }[] = []): string[] =>
  statements.map(({ text }) => text.split('\n')[0]?.replace(/"own_capture_(\w+)"/, '$1') ?? '');

describe('captureSteps', () => {
  it('has nothing to do where all is as needed', () => {
    const same = diff([need('t', 'public.a')], [captured('t')]);
    expect(isEmptyDiff(same)).toBe(true);
    expect(stepsOf(same, 'own')).toEqual([]);
  });

  it('captures a table once, for however many views, and locks all tables first', () => {
    const missing = diff([need('u', 'public.b'), need('t', 'public.a', 'public.b')], []);
    expect(missing.views.map(({ differences }) => differences.length)).toEqual([1, 2]);
    const steps = stepsOf(missing, 'own');
    expect(steps).toHaveLength(1);
    expect(firstWords(steps[0]?.statements)).toEqual([
      'LOCK TABLE ONLY "public"."t", ONLY "public"."u" IN SHARE ROW EXCLUSIVE MODE',
      ...['t', 'u'].flatMap((table) =>
        ['insert', 'update', 'delete', 'truncate'].flatMap((event) => [
          `CREATE TRIGGER ${event}`,
          `ALTER TABLE ONLY "public"."${table}" ENABLE ALWAYS TRIGGER ${event}`,
        ]),
      ),
    ]);
    expect(firstWords(steps[0]?.undo)[0]).toBe(
      'LOCK TABLE ONLY "public"."t", ONLY "public"."u" IN ACCESS EXCLUSIVE MODE',
    );
  });

  it('makes again what was changed, and takes away what nobody needs', () => {
    const changed = diff([need('t', 'public.a')], [captured('t', false), captured('old')]);
    expect(isEmptyDiff(changed)).toBe(false);
    const [step] = stepsOf(changed, 'own');
    expect(step?.reason).toBe(
      'Changes of "public.t" have to be captured; No view needs those of "public.old" any more',
    );
    expect(firstWords(step?.statements)[0]).toBe(
      'LOCK TABLE ONLY "public"."t", ONLY "public"."old" IN ACCESS EXCLUSIVE MODE',
    );
    expect(firstWords(step?.undo).filter((text) => text.startsWith('DROP'))).toHaveLength(4);
    expect(firstWords(step?.undo).filter((text) => text.startsWith('CREATE'))).toHaveLength(4);
  });

  describe('with regard to waking up', () => {
    const step = (wanted: 'poll' | 'notify', trigger?: { is_complete: boolean }) =>
      stepsOf(diff([], [], wanted, trigger), 'own')[0];

    it('does nothing where it is as wanted', () => {
      expect(step('poll')).toBeUndefined();
      expect(step('notify', { is_complete: true })).toBeUndefined();
    });

    it.each([
      ['notify', undefined, ['LOCK', 'CREATE', 'ALTER'], 'SHARE ROW EXCLUSIVE'],
      ['notify', { is_complete: false }, ['LOCK', 'DROP', 'CREATE', 'ALTER'], 'ACCESS EXCLUSIVE'],
      ['poll', { is_complete: true }, ['LOCK', 'DROP'], 'ACCESS EXCLUSIVE'],
    ] as const)('makes it %s where there is %p', (wanted, trigger, commands, lock) => {
      expect(isEmptyDiff(diff([], [], wanted, trigger))).toBe(false);
      const { statements = [], undo = [], lock: taken } = step(wanted, trigger) ?? {};
      expect(statements.map(({ text }) => text.split(' ')[0])).toEqual(commands);
      expect(statements[0]?.text).toBe(`LOCK TABLE ONLY "own"."change_log" IN ${lock} MODE`);
      expect(taken).toContain(lock);
      expect(undo[0]?.text).toContain('LOCK TABLE ONLY "own"."change_log"');
    });

    it('locks the log with the tables, and behind them', () => {
      const both = diff([need('t', 'public.a')], [], 'notify');
      const steps = stepsOf(both, 'own');
      expect(steps).toHaveLength(1);
      expect(firstWords(steps[0]?.statements)[0]).toBe(
        'LOCK TABLE ONLY "public"."t", ONLY "own"."change_log" IN SHARE ROW EXCLUSIVE MODE',
      );
    });
  });

  it('names triggers after a state schema however long it is', () => {
    const [step] = stepsOf(diff([need('t', 'public.a')], []), 'ö'.repeat(31));
    const [, create] = step?.statements ?? [];
    expect(create?.text).toMatch(/^CREATE TRIGGER "mv_[0-9a-f]{12}_capture_insert"\n/);
  });
});
