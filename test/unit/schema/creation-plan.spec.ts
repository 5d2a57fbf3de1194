import { describe, expect, it } from '@jest/globals';
import type { ViewDefinition } from '../../../lib/definition/view-definition.js';
import { isEmptyPlan, planCreation } from '../../../lib/schema/creation-plan.js';
import type { DatabaseState } from '../../../lib/schema/database-state.js';

class Sales {}

const view = (schema: string, name: string, indexNames: string[] = []): ViewDefinition => ({
  target: Sales,
  dataSourceName: 'default',
  name: { schema, name },
  query: 'SELECT 1',
  indexes: indexNames.map((index) => ({ name: index, keys: [{ column: 'id' }], unique: true })),
});

const state = (given: Partial<DatabaseState>): DatabaseState => ({
  stateSchema: 'own',
  installedVersion: 1,
  targetVersion: 1,
  schemas: new Set(['own', 'public']),
  relations: new Map(),
  knownViews: new Set(),
  ...given,
});

describe('planCreation', () => {
  it('wants everything on an empty database, each schema once', () => {
    const views = [view('a', 'one'), view('a', 'two')];
    const plan = planCreation(views, state({ installedVersion: 0, schemas: new Set() }));
    expect(plan).toEqual({
      installedVersion: 0,
      needsInstallation: true,
      schemas: ['own', 'a'],
      views,
      indexes: [],
      newcomers: [],
    });
    expect(isEmptyPlan(plan)).toBe(false);
  });

  it('wants nothing where all is there', () => {
    const relations = new Map([
      ['public.one', { kind: 'm', isPopulated: true, indexNames: ['one_id', 'made_by_hand'] }],
    ]);
    const plan = planCreation(
      [view('public', 'one', ['one_id'])],
      state({ relations, knownViews: new Set(['public.one']) }),
    );
    expect(isEmptyPlan(plan)).toBe(true);
  });

  it('adds missing indexes to a view, and takes up one that it does not know', () => {
    const relations = new Map([
      ['public.one', { kind: 'm', isPopulated: false, indexNames: ['b'] }],
    ]);
    const one = view('public', 'one', ['a', 'b']);
    const plan = planCreation([one], state({ relations }));
    expect(plan.views).toEqual([]);
    expect(plan.indexes).toEqual([{ view: one, index: one.indexes[0] }]);
    expect(plan.newcomers).toEqual([{ view: one, isPopulated: false }]);
  });

  it.each(['r', 'v', 'f', 'p', 'S', 'i'])(
    'refuses a name that a relation of kind %s has',
    (kind) => {
      const relations = new Map([['public.one', { kind, isPopulated: true, indexNames: [] }]]);
      expect(() => planCreation([view('public', 'one')], state({ relations }))).toThrow(
        /Cannot create materialized view "public\.one" of Sales.*Nothing has been changed/,
      );
    },
  );

  it('leaves newer tables of its own alone', () => {
    const plan = planCreation([], state({ installedVersion: 9 }));
    expect(isEmptyPlan(plan)).toBe(true);
  });
});
