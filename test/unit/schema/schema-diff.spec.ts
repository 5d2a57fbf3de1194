import { describe, expect, it } from '@jest/globals';
import type { ViewDefinition } from '../../../lib/definition/view-definition.js';
import { PLAIN } from '../../../lib/postgres/view-kind.js';
import type { DatabaseState } from '../../../lib/schema/database-state.js';
import type { DefinitionComparison } from '../../../lib/schema/definition-comparison.js';
import { type Difference, diffSchema } from '../../../lib/schema/schema-diff.js';
import {
  databaseState,
  declared,
  deployed,
  index,
  remembered,
} from '../../support/schema-fixtures.js';

function differences(
  view: ViewDefinition,
  state: DatabaseState,
  comparison?: DefinitionComparison,
): Difference[] {
  const comparisons = new Map(comparison ? [[`public.${view.name.name}`, comparison]] : []);
  return (
    diffSchema([view], state, { comparisons, renames: [], pending: [], application: 'tests' })
      .views[0]?.differences ?? []
  );
}

const byId = { name: 'by_id', keys: [{ column: 'id' }], unique: false };

describe('diffSchema', () => {
  it('finds nothing if everything is as declared', () => {
    const diff = diffSchema([declared('a')], databaseState([deployed('a')]), {
      comparisons: new Map(),
      renames: [],
      pending: [],
      application: 'tests',
    });
    expect(diff).toMatchObject({ views: [{ differences: [] }], orphans: [], missingSchemas: [] });
  });

  it.each<[string, ViewDefinition, DatabaseState, Difference[]]>([
    ['missing', declared('a'), databaseState([]), [{ kind: 'missing' }]],
    [
      'a plain view',
      declared('a'),
      databaseState([deployed('a', {}, { kind: PLAIN })]),
      [{ kind: 'view-kind', deployed: PLAIN }],
    ],
    [
      'without data',
      declared('a'),
      databaseState([deployed('a', { is_populated: false })]),
      [{ kind: 'unpopulated' }],
    ],
    [
      'meant to be without data',
      declared('a', { withData: false }),
      databaseState([deployed('a', { is_populated: false })]),
      [],
    ],
    [
      'another comment',
      declared('a', { comment: 'x' }),
      databaseState([deployed('a', { comment: 'y' })]),
      [{ kind: 'comment' }],
    ],
    ['a comment by hand', declared('a'), databaseState([deployed('a', { comment: 'y' })]), []],
    [
      'other storage',
      declared('a', { storage: { fillfactor: 70 } }),
      databaseState([deployed('a', { storage: ['fillfactor=80'] })]),
      [{ kind: 'storage' }],
    ],
    ...(
      [
        ['fillfactor=70', []],
        ['fillfactor=70 vacuum_truncate=false', []],
        ['fillfactor=70 vacuum_truncate=true', [{ kind: 'storage' }]],
      ] as const
    ).map(([storage, differences]): [string, ViewDefinition, DatabaseState, Difference[]] => [
      `what a new view gets beside its storage: ${storage}`,
      declared('a', { storage: { fillfactor: 70 } }),
      databaseState([deployed('a', { storage: storage.split(' ') })]),
      [...differences],
    ]),
    [
      'storage that is other than what a new view gets',
      declared('a', { storage: { vacuum_truncate: true } }),
      databaseState([deployed('a', { storage: ['vacuum_truncate=false'] })]),
      [{ kind: 'storage' }],
    ],
    [
      'more storage',
      declared('a', { storage: {} }),
      databaseState([deployed('a', { storage: ['fillfactor=80'] })]),
      [{ kind: 'storage' }],
    ],
    [
      'storage by hand',
      declared('a'),
      databaseState([deployed('a', { storage: ['fillfactor=80'] })]),
      [],
    ],
    [
      'the default tablespace',
      declared('a', { tablespace: 'pg_default' }),
      databaseState([deployed('a')]),
      [],
    ],
    [
      'another tablespace',
      declared('a', { tablespace: 'fast' }),
      databaseState([deployed('a')]),
      [{ kind: 'tablespace' }],
    ],
    [
      'another access method',
      declared('a', { accessMethod: 'columnar' }),
      databaseState([deployed('a')]),
      [{ kind: 'access-method' }],
    ],
    [
      'a missing index',
      declared('a', { indexes: [byId] }),
      databaseState([deployed('a')]),
      [{ kind: 'index-missing', index: byId }],
    ],
    [
      'an index by hand',
      declared('a'),
      databaseState([deployed('a', {}, { indexes: [index('hand')] })]),
      [],
    ],
  ])('%s', (_, view, state, expected) => {
    expect(differences(view, state)).toEqual(expected);
  });

  it('relies on PostgreSQL for queries and indexes', () => {
    const view = declared('a', { indexes: [byId] });
    const found = deployed('a', {}, { indexes: [index('by_id')] });
    const state = databaseState([found], remembered([view, found]));
    expect(
      differences(view, state, { isSameQuery: false, changedIndexes: [], unfitIndexes: [] }),
    ).toEqual([{ kind: 'definition', isDrift: true }]);
    const changed = declared('a', { indexes: [byId], query: 'SELECT 2' });
    expect(
      differences(changed, state, { isSameQuery: false, changedIndexes: [], unfitIndexes: [] }),
    ).toEqual([{ kind: 'definition', isDrift: false }]);
    expect(
      differences(view, state, { isSameQuery: true, changedIndexes: [byId], unfitIndexes: [] }),
    ).toEqual([{ kind: 'index-changed', index: byId }]);
  });

  it('drops only indexes that the library created', () => {
    const before = declared('a', { indexes: [byId] });
    const found = deployed('a', {}, { indexes: [index('by_id')] });
    const state = databaseState([found], remembered([before, found]));
    found.indexes.push(index('hand'));
    expect(differences(declared('a'), state)).toEqual([
      { kind: 'index-superfluous', name: 'by_id' },
    ]);
  });

  it('distinguishes orphans from views that others created', () => {
    const gone = declared('gone');
    const found = deployed('gone');
    const state = databaseState([found, deployed('hand')], remembered([gone, found]));
    const diff = diffSchema([], state, {
      comparisons: new Map(),
      renames: [],
      pending: [],
      application: 'tests',
    });
    expect(diff.orphans).toEqual([{ ...found, isTracked: false }]);
  });

  it('recognizes a newer version, but not an equal one', () => {
    const view = declared('a', { version: 3 });
    const state = databaseState([deployed('a')], remembered([view, deployed('a')]));
    const diffOf = (version: number | undefined): number | undefined =>
      diffSchema([declared('a', { version })], state, {
        comparisons: new Map(),
        renames: [],
        pending: [],
        application: 'tests',
      }).views[0]?.newerVersion;
    expect([diffOf(2), diffOf(3), diffOf(4), diffOf(undefined)]).toEqual([
      3,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('lists each missing schema once', () => {
    const views = ['a', 'b'].map((name) => declared(name, { name: { schema: 'new', name } }));
    const state = databaseState([], { installedVersion: 0, schemas: new Set() });
    const diff = diffSchema(views, state, {
      comparisons: new Map(),
      renames: [],
      pending: [],
      application: 'tests',
    });
    expect(diff).toMatchObject({ missingSchemas: ['own', 'new'] });
  });

  it.each(['r', 'f', 'p', 'S', 'i'])('refuses a name that a relation of kind %s has', (kind) => {
    const state = databaseState([], {
      relations: new Map([
        [
          'public.a',
          {
            schema_name: 'public',
            view_name: 'a',
            relation_kind: kind,
            extension: null,
            index_of: null,
          },
        ],
      ]),
    });
    expect(() => differences(declared('a'), state)).toThrow(
      /Cannot create materialized view "public\.a" of Sales.*Nothing has been changed/,
    );
  });
});
