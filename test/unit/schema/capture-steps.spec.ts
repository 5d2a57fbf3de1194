import { describe, expect, it } from '@jest/globals';
import { withCaptures } from '../../../lib/schema/capture-diff.js';
import { captureSteps } from '../../../lib/schema/capture-steps.js';
import { diffSchema, isEmptyDiff, type SchemaDiff } from '../../../lib/schema/schema-diff.js';
import { databaseState, declared, deployed } from '../../support/schema-fixtures.js';

const need = (name: string, ...views: string[]): [string, Need] => [
  `public.${name}`,
  { table: { schema: 'public', name }, views: new Set(views) },
];
interface Need {
  table: { schema: string; name: string };
  views: Set<string>;
}

const captured = (name: string, is_complete = true) => ({
  table_oid: '1',
  schema_name: 'public',
  table_name: name,
  is_complete,
});

function diff(needs: [string, Need][], rows: ReturnType<typeof captured>[]): SchemaDiff {
  const state = databaseState([deployed('a'), deployed('b')]);
  const none = { comparisons: new Map(), renames: [] };
  const views = [declared('a'), declared('b')];
  return withCaptures(diffSchema(views, state, none), new Map(needs), rows);
}

const firstWords = (statements: { text: string }[] = []): string[] =>
  statements.map(({ text }) => text.split('\n')[0]?.replace(/"own_capture_(\w+)"/, '$1') ?? '');

describe('captureSteps', () => {
  it('has nothing to do where all is as needed', () => {
    const same = diff([need('t', 'public.a')], [captured('t')]);
    expect(isEmptyDiff(same)).toBe(true);
    expect(captureSteps(same, 'own')).toEqual([]);
  });

  it('captures a table once, for however many views, and locks all tables first', () => {
    const missing = diff([need('u', 'public.b'), need('t', 'public.a', 'public.b')], []);
    expect(missing.views.map(({ differences }) => differences.length)).toEqual([1, 2]);
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

  it('makes anew what was changed, and takes away what nobody needs', () => {
    const changed = diff([need('t', 'public.a')], [captured('t', false), captured('old')]);
    expect(isEmptyDiff(changed)).toBe(false);
    const [step] = captureSteps(changed, 'own');
    expect(step?.reason).toBe(
      'Changes of "public.t" are to be captured; No view needs those of "public.old" any more',
    );
    expect(firstWords(step?.statements)[0]).toBe(
      'LOCK TABLE ONLY "public"."t", ONLY "public"."old" IN ACCESS EXCLUSIVE MODE',
    );
    expect(firstWords(step?.undo).filter((text) => text.startsWith('DROP'))).toHaveLength(4);
    expect(firstWords(step?.undo).filter((text) => text.startsWith('CREATE'))).toHaveLength(4);
  });

  it('names triggers after a state schema however long it is', () => {
    const [step] = captureSteps(diff([need('t', 'public.a')], []), 'ö'.repeat(31));
    const [, create] = step?.statements ?? [];
    expect(create?.text).toMatch(/^CREATE TRIGGER "mv_[0-9a-f]{12}_capture_insert"\n/);
  });
});
