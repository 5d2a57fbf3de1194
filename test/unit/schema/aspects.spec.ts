import { describe, expect, it } from '@jest/globals';
import { resolveOptions } from '../../../lib/definition/module.options.js';
import { isGiven, type Right } from '../../../lib/schema/aspects/aspect.js';
import { aspectSteps, compareAspects } from '../../../lib/schema/aspects/aspects.js';
import { INSTALLATION_VERSION } from '../../../lib/postgres/installation.sql.js';
import { databaseState } from '../../support/schema-fixtures.js';

const policy = (synchronize: boolean | 'create', onDrift: 'apply' | 'continue' = 'apply') => ({
  ...{ synchronize, onDrift, prune: false, onMissingTable: 'fail' as const },
  ...{ unmanagedDependents: 'refuse' as const, rebuildStrategy: 'side-by-side' as const },
});

const NO_VIEWS = {
  ...{ stateSchema: 'own', views: [], gone: new Set<string>(), standIns: [] },
  policy: policy(true),
};

const options = resolveOptions({});

/** A database without triggers. */
const session = { query: () => Promise.resolve([]) };

describe('aspects', () => {
  it('come in the order in which their steps are safe', async () => {
    const differences = await compareAspects(session, {
      ...NO_VIEWS,
      state: databaseState([], { installedVersion: 0 }),
      options: { ...options, wakeUp: 'notify' },
    });
    expect(differences.map(({ kind }) => kind)).toEqual(['installation', 'wake-up']);
    const actions = (order: 'first' | 'last'): string[] =>
      aspectSteps(order, differences, { stateSchema: 'own', failed: new Set() }).map(
        ({ action }) => action,
      );
    expect(actions('first')).toEqual(['install']);
    expect(actions('last')).toEqual(['capture']);
  });

  it('do not touch the tables of a newer release', async () => {
    const differences = await compareAspects(session, {
      ...NO_VIEWS,
      state: databaseState([], {
        installedVersion: INSTALLATION_VERSION + 1,
        targetVersion: INSTALLATION_VERSION,
      }),
      options,
    });
    expect(differences).toEqual([]);
  });

  it.each<[ReturnType<typeof policy>, Right[]]>([
    [policy(false), ['always']],
    [policy('create'), ['always', 'create']],
    [policy(true, 'continue'), ['always', 'create']],
    [policy(true), ['always', 'create', 'change']],
  ])('may do by %j: %j', (given, rights) => {
    const all: Right[] = ['always', 'create', 'change', 'never'];
    expect(all.filter((right) => isGiven(given, right))).toEqual(rights);
  });
});
