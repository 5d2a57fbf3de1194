import type { ServerEngine } from '../postgres/server-engine.js';

const MISSING: Record<ServerEngine, string> = {
  Citus:
    'triggers of distributed tables fire where the library cannot see it. Refresh views over such tables by `cron` and on demand, and not by `on`, `skipUnchanged` or `maxStaleness`',
  YugabyteDB:
    'its advisory locks and its catalog are its own. Several processes may refresh a view at once, and changes may go unnoticed',
  CockroachDB:
    'it refuses REFRESH in a transaction, and its advisory locks lock nothing. Refreshes fail',
  'Aurora DSQL': 'it has neither materialized views nor triggers. Nothing works',
};

/** For the log. */
export function describeEngine(dataSource: string, engine: ServerEngine): string {
  return `Data source "${dataSource}" is on ${engine}, on which the library is not tested: ${MISSING[engine]}.`;
}

/** For the log. */
export function describeBrokenPipeline(dataSource: string): string {
  return `Statements that data source "${dataSource}" sends in a pipeline get no or wrong answers, so they are sent one by one, and a refresh takes more round trips. Is there a pooler that cannot do it?`;
}
