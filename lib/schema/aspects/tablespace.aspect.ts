import { LONG_EXCLUSIVE_LOCK } from '../../postgres/lock-words.js';
import { setTablespace } from '../../postgres/view-ddl.sql.js';
import { alteration, type ViewAspect } from './view-aspect.js';

/** The tablespace of a view without its own, in most databases. */
const DEFAULT = 'pg_default';

/** The tablespace, if the class declares one. */
export const tablespaceAspect: ViewAspect<{ kind: 'tablespace' }> = {
  kinds: ['tablespace'],
  diff: ({ tablespace }, { row }) =>
    tablespace !== undefined && tablespace !== (row.tablespace ?? DEFAULT)
      ? [{ kind: 'tablespace' }]
      : [],
  right: () => 'change',
  phases: (_, staying) => {
    const { view, deployed } = staying;
    const existing = deployed.row.tablespace ?? DEFAULT;
    const change = {
      reason: `Its tablespace is "${existing}"`,
      statements: [setTablespace(view.name, view.tablespace ?? DEFAULT)],
      undo: [setTablespace(view.name, existing)],
      lock: LONG_EXCLUSIVE_LOCK,
      rewritesRows: true,
    };
    return alteration(change, staying);
  },
  describe: () => 'its tablespace changed',
};
