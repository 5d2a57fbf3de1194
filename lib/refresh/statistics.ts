import type { DataSourceContext, Log } from '../definition/data-source.context.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { messageOf } from '../errors/error-message.js';
import { analyze } from '../postgres/ddl.sql.js';
import { type NullKeysRow, selectNullKeys } from '../postgres/status.sql.js';
import type { Session } from '../postgres/session.js';
import type { TransactionLimits } from '../postgres/transaction.sql.js';
import { modeNamed } from './modes/modes.js';
import { isAnalyzeDue } from './refresh-decision.js';
import type { RefreshResult } from './refresh-result.js';

/**
 * ANALYZE reads a sample, whatever the size of the view. It must not wait for another session's lock.
 */
const ANALYZE_LIMITS: TransactionLimits = { lockTimeoutMs: 100, statementTimeoutMs: 30_000 };

/**
 * Updates the planner's statistics after a refresh that changed much, as autovacuum would do later. It
 * has its own transaction, because it isn't part of the refresh: if it fails, autovacuum does it later.
 */
export async function analyzeIfDue(
  session: Session,
  { database, log }: Pick<DataSourceContext, 'database' | 'log'>,
  refreshed: { definition: ViewDefinition; result: RefreshResult; rowCountEstimate: number },
): Promise<void> {
  const { definition, result, rowCountEstimate } = refreshed;
  if (result.outcome !== 'refreshed' || modeNamed(result.mode).replacesView) {
    return;
  }
  const changedCount = (result.insertedCount ?? 0) + (result.deletedCount ?? 0);
  if (!isAnalyzeDue(changedCount, rowCountEstimate)) {
    return;
  }
  const transaction = await database.folded(session, ANALYZE_LIMITS);
  try {
    const [, [keys]] = (await session.limitedTo(ANALYZE_LIMITS, () =>
      transaction.whole([analyze(definition.name), selectNullKeys(definition.name)]),
    )) as [unknown, NullKeysRow[]];
    if (result.mode === 'concurrently' && keys?.columns) {
      warnOfNulls(log, definition, keys.columns);
    }
  } catch (error) {
    log.debug(`"${viewName(definition)}" could not be analysed: ${messageOf(error)}`);
    await transaction.undo();
  }
}

const warnedOf = new WeakSet<ViewDefinition>();

/** A concurrent refresh treats NULLs as different: it deletes and inserts such rows each time. */
function warnOfNulls(log: Log, definition: ViewDefinition, columns: string[]): void {
  if (warnedOf.has(definition)) {
    return;
  }
  warnedOf.add(definition);
  log.warn(
    `The unique key of "${viewName(definition)}" has NULLs in ${columns.map((each) => `"${each}"`).join(', ')}: every concurrent refresh deletes and inserts those rows again, changed or not. Give the key columns a value in every row, as with coalesce() in the query.`,
  );
}
