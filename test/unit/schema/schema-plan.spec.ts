import { describe, expect, it } from '@jest/globals';
import type { ViewDefinition } from '../../../lib/definition/view-definition.js';
import type { SyncPolicy } from '../../../lib/definition/module.options.js';
import { MATERIALIZED } from '../../../lib/postgres/view-kind.js';
import type { DatabaseState } from '../../../lib/schema/database-state.js';
import { planNames } from '../../../lib/schema/name-plan.js';
import type { DeployedView } from '../../../lib/schema/deployed-view.js';
import type { OldView } from '../../../lib/schema/old-views.js';
import type { RehearsedMember } from '../../../lib/schema/rehearsal.js';
import { diffSchema } from '../../../lib/schema/schema-diff.js';
import { planSchema, type SchemaPlan } from '../../../lib/schema/schema-plan.js';
import { prunes } from '../../../lib/definition/policy-rights.js';
import { applyPolicy } from '../../../lib/schema/sync-policy.js';
import {
  databaseState,
  declared,
  deployed,
  index,
  remembered,
} from '../../support/schema-fixtures.js';

const POLICY: SyncPolicy = {
  synchronize: true,
  onDrift: 'apply',
  onMissingTable: 'fail',
  unmanagedDependents: 'refuse',
  rebuildStrategy: 'side-by-side',
  prune: false,
};

function plan(
  views: ViewDefinition[],
  state: DatabaseState,
  { rehearsed = [], policy = POLICY }: { rehearsed?: RehearsedMember[]; policy?: SyncPolicy } = {},
): SchemaPlan {
  const diff = diffSchema(views, state, {
    comparisons: new Map(),
    renames: [],
    pending: [],
    application: 'tests',
  });
  return planSchema({
    dataSource: 'default',
    diff: applyPolicy(diff, policy, state.stateSchema).allowed,
    renames: [],
    rehearsed: { members: rehearsed, going: prunes(policy) ? asGoing(diff.orphans) : [] },
    names: planNames(views, state, []),
    hidden: [],
    state,
    oldState: state,
    policy,
    left: [],
    failed: [],
  });
}

const asGoing = (orphans: DeployedView[]): OldView[] =>
  orphans.map((orphan) => ({
    deployed: orphan,
    name: orphan.name,
    buildName: { schema: 'public', name: 'mv_build_1' },
    buildQuery: 'SELECT 0;',
  }));

const member = (view: ViewDefinition, given: Partial<RehearsedMember> = {}): RehearsedMember => ({
  name: view.name,
  kind: MATERIALIZED,
  query: view.query,
  definition: view,
  buildName: view.name,
  buildQuery: { text: view.query, isDeclared: true },
  finalQuery: view.query,
  columns: ['id'],
  columnTypes: ['integer'],
  plainColumns: ['id'],
  isFilledLast: false,
  invalidIndexes: [],
  lostIndexes: [],
  lostStatistics: [],
  withData: given.definition?.withData ?? view.withData,
  ownIndexes: [],
  dependsOn: [],
  ...given,
});

const sql = ({ steps }: SchemaPlan): string[] =>
  steps.flatMap(({ statements }) => statements.map(({ text }) => text));

describe('planSchema', () => {
  it('is empty if nothing differs', () => {
    expect(plan([declared('a')], databaseState([deployed('a')])).steps).toEqual([]);
  });

  it('creates a new view under its own name, and undoes that by dropping it', () => {
    const view = declared('a', {
      indexes: [{ name: 'a_id', keys: [{ column: 'id' }], unique: true }],
    });
    const { steps } = plan([view], databaseState([]), { rehearsed: [member(view)] });
    expect(steps).toEqual([
      {
        action: 'build',
        view: 'public.a',
        name: view.name,
        reason: 'It is missing',
        statements: [
          `CREATE MATERIALIZED VIEW "public"."a"\nWITH ("vacuum_truncate" = 'false')\nAS\nSELECT * FROM a_source`,
          'CREATE UNIQUE INDEX "a_id"\nON "public"."a"\n("id")',
          'ANALYZE "public"."a"',
        ].map((text) => ({
          text,
          hasApplicationText: true,
          ...(text.includes('INDEX') && { makes: 'index "a_id"' }),
        })),
        undo: [{ text: 'DROP MATERIALIZED VIEW "public"."a"' }],
        lock: 'none: nothing reads it yet',
        rewritesRows: true,
      },
    ]);
  });

  it('builds a changed view beside the old one, and swaps', () => {
    const view = declared('a');
    const found = deployed('a', { is_populated: false });
    const rehearsed = [
      member(view, {
        deployed: found,
        buildName: { schema: 'public', name: 'mv_build_1' },
        old: {
          deployed: found,
          name: found.name,
          buildName: { schema: 'public', name: 'mv_build_1' },
          buildQuery: 'SELECT 0;',
        },
      }),
    ];
    const changed = plan([view], databaseState([found]), { rehearsed });
    expect(changed.steps.map(({ action, lock }) => [action, lock.split(':')[0]])).toEqual([
      ['build', 'none'],
      ['swap', 'ACCESS EXCLUSIVE'],
      ['swap', 'ACCESS EXCLUSIVE'],
    ]);
    expect(sql(changed).slice(-2)).toEqual([
      'DROP MATERIALIZED VIEW "public"."a"',
      'ALTER MATERIALIZED VIEW "public"."mv_build_1" RENAME TO "a"',
    ]);
    const back = [...changed.steps].reverse().flatMap(({ undo }) => undo);
    // The first statement has DO blocks for the default privileges around it.
    const texts = back.map(({ text }) => text).filter((text) => !text.startsWith('DO '));
    expect(texts).toEqual([
      'CREATE MATERIALIZED VIEW "public"."mv_build_1"\nUSING "heap"\nAS\nSELECT 0\nWITH NO DATA',
      'ALTER MATERIALIZED VIEW "public"."mv_build_1" OWNER TO "owner"',
      'DROP MATERIALIZED VIEW "public"."a"',
      'ALTER MATERIALIZED VIEW "public"."mv_build_1" RENAME TO "a"',
    ]);
  });

  it('changes only the index if only an index differs', () => {
    const wanted = { name: 'a_id', keys: [{ column: 'id' }], unique: false };
    const missing = plan([declared('a', { indexes: [wanted] })], databaseState([deployed('a')]));
    expect(sql(missing)).toEqual(['CREATE INDEX "a_id"\nON "public"."a"\n("id")']);
    expect(missing.steps[0]).toMatchObject({
      rewritesRows: false,
      lock: 'SHARE: readers go on, refreshes wait',
      undo: [{ text: 'DROP INDEX "public"."a_id"' }],
    });
    const before = declared('a', { indexes: [wanted] });
    const found = deployed('a', {}, { indexes: [index('a_id', { comment: 'mine' })] });
    const state = databaseState([found], remembered([before, found]));
    const superfluous = plan([declared('a')], state);
    expect(sql(superfluous)).toEqual(['DROP INDEX "public"."a_id"']);
    expect(superfluous.steps[0]?.undo.map(({ text }) => text)).toEqual([
      'CREATE INDEX "a_id"\nON "public"."a"\nUSING btree (id)',
      `COMMENT ON INDEX "public"."a_id" IS 'mine'`,
    ]);
  });

  it('prunes only if requested, and only if changes are allowed', () => {
    const gone = declared('gone');
    const found = deployed('gone');
    const state = databaseState([found], remembered([gone, found]));
    expect(plan([], state)).toMatchObject({ steps: [], orphans: ['public.gone'] });
    const pruned = plan([], state, { policy: { ...POLICY, prune: true } });
    expect(sql(pruned)).toEqual(['DROP MATERIALIZED VIEW "public"."gone"']);
    const policy: SyncPolicy = {
      ...POLICY,
      prune: true,
      synchronize: 'create',
      onDrift: 'continue',
    };
    expect(plan([], state, { policy }).steps).toEqual([]);
  });

  it.each<[SyncPolicy['synchronize'], SyncPolicy['onDrift'], string[]]>([
    [true, 'apply', ['populate', 'index', 'alter']],
    [true, 'continue', ['index']],
    ['create', 'continue', ['index']],
    ['verify', 'continue', []],
  ])('does with synchronize %p and onDrift %p what they allow', (synchronize, onDrift, actions) => {
    const view = declared('a', {
      comment: 'new',
      indexes: [{ name: 'a_id', keys: [{ column: 'id' }], unique: false }],
    });
    const { steps } = plan([view], databaseState([deployed('a', { is_populated: false })]), {
      policy: { ...POLICY, synchronize, onDrift },
    });
    expect(steps.map(({ action }) => action)).toEqual(actions);
  });
});
