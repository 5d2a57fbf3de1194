import { INSTALLATION_VERSION, installAfter } from '../../postgres/installation.sql.js';
import { NO_LOCK } from '../../postgres/lock-words.js';
import type { Aspect, AspectDifference } from './aspect.js';

export interface InstallationDifference extends AspectDifference {
  kind: 'installation';
  /** The version whose parts all exist; 0 for none. */
  from: number;
}

/** The library's own tables and functions. */
export const installationAspect: Aspect<undefined, InstallationDifference> = {
  kinds: ['installation'],
  order: 'first',
  // Read with the state, because what is remembered about views is in these tables.
  read: () => Promise.resolve(undefined),
  diff: (_, { state: { installedVersion: from, targetVersion } }) =>
    from < targetVersion ? [{ kind: 'installation', from }] : [],
  right: () => 'always',
  steps: (differences, { stateSchema }) =>
    differences.map(({ from }) => ({
      action: 'install',
      reason: `The library's own tables have version ${from}, and this release needs ${INSTALLATION_VERSION}`,
      statements: installAfter(stateSchema, from),
      // A revert must not lose the history.
      undo: [],
      lock: NO_LOCK,
      rewritesRows: false,
    })),
  describe: () => undefined,
};
