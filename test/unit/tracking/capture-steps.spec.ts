import { describe, expect, it } from '@jest/globals';
import type { CaptureNeed } from '../../../lib/tracking/capture-needs.js';
import { type CaptureDifference, diffCaptures } from '../../../lib/tracking/capture-diff.js';
import { captureSteps } from '../../../lib/tracking/capture-steps.js';
import { declared } from '../../support/schema-fixtures.js';

const need = (name: string, ...views: string[]): [string, CaptureNeed] => [
  `"public"."${name}"`,
  { table: { schema: 'public', name }, views: new Set(views), isLeftOver: false },
];
const captured = (name: string, is_complete = true) => ({
  schema_name: 'public',
  table_name: name,
  is_complete,
});

const diff = (
  needs: [string, CaptureNeed][],
  rows: ReturnType<typeof captured>[],
): CaptureDifference[] =>
  diffCaptures([declared('a'), declared('b')], { tables: new Map(needs), missing: [] }, rows);

const firstWords = (statements: { text: string }[] = []): string[] =>
  statements.map(({ text }) => text.split('\n')[0]?.replace(/"own_capture_(\w+)"/, '$1') ?? '');

describe('captureSteps', () => {
  it('has nothing to do if everything is as needed', () => {
    const same = diff([need('t', 'public.a')], [captured('t')]);
    expect(same).toEqual([]);
    expect(captureSteps(same, 'own')).toEqual([]);
  });

  it('captures a table once for any number of views, and locks all tables first', () => {
    const missing = diff([need('u', 'public.b'), need('t', 'public.a', 'public.b')], []);
    expect(missing).toMatchObject([
      { kind: 'capture-missing', view: { name: { name: 'a' } }, table: { name: 't' } },
      { kind: 'capture-missing', view: { name: { name: 'b' } }, table: { name: 'u' } },
      { kind: 'capture-missing', view: { name: { name: 'b' } }, table: { name: 't' } },
    ]);
    const steps = captureSteps(missing, 'own');
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

  it('recreates what was changed, and removes what no view needs', () => {
    const changed = diff([need('t', 'public.a')], [captured('t', false), captured('old')]);
    expect(changed.map(({ kind }) => kind)).toEqual(['capture-changed', 'capture-superfluous']);
    const [step] = captureSteps(changed, 'own');
    expect(step?.reason).toBe(
      'Changes of "public.t" have to be captured; No view needs those of "public.old" any more',
    );
    expect(firstWords(step?.statements)[0]).toBe(
      'LOCK TABLE ONLY "public"."t", ONLY "public"."old" IN ACCESS EXCLUSIVE MODE',
    );
    expect(firstWords(step?.undo).filter((text) => text.startsWith('DROP'))).toHaveLength(4);
    expect(firstWords(step?.undo).filter((text) => text.startsWith('CREATE'))).toHaveLength(4);
  });

  it('names triggers after a state schema of any length', () => {
    const [step] = captureSteps(diff([need('t', 'public.a')], []), 'ö'.repeat(31));
    const [, create] = step?.statements ?? [];
    expect(create?.text).toMatch(/^CREATE TRIGGER "mv_[0-9a-f]{12}_capture_insert"\n/);
  });
});
