import { RefreshCancelledError } from '../errors/refresh.errors.js';
import { statusErrorFrom } from '../errors/status-error.factory.js';
import type { Database } from '../postgres/database.js';
import {
  type ReplicaRow,
  selectReplicas,
  selectWalPosition,
  type WalPositionRow,
} from '../postgres/replica.sql.js';
import { AnswerTimeout } from '../postgres/time-limit.js';
import { pause } from './abort-listeners.js';
import type { RefreshResult } from './refresh-result.js';
import { ReplicasBehindError } from './replicas-behind.error.js';

/** The standbys that must show the new rows: all connected ones, or those with these names. */
export type Replicas = true | readonly string[];

/** If the caller sets no `timeout`. */
const TIMEOUT_MS = 10_000;

/** How long to wait before the standbys are checked again: at first, and at most. */
const FIRST_LOOK_MS = 5;
const LONGEST_LOOK_MS = 100;

export interface ReplicaWait {
  replicas: Replicas;
  /** How long it may take. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

/**
 * Waits until standbys have replayed what a refresh committed. A standby reports to its primary when it has replayed
 * everything it has, and with each flush.
 *
 * @returns the result with the position that they have replayed; without one if no standby is connected
 * @throws ReplicasBehindError if they don't in time
 */
export async function untilReplayed(
  database: Database,
  result: RefreshResult,
  { replicas, timeoutMs = TIMEOUT_MS, signal }: ReplicaWait,
): Promise<RefreshResult> {
  const endsAtMs = performance.now() + timeoutMs;
  const ask = replicaQuestions(database, () => Math.max(1, endsAtMs - performance.now()));
  let seen: { found: ReplicaRow[]; behind: string[] } | undefined;
  try {
    let lsn: string | undefined;
    let least = 1;
    for (let look = 0; ; look++) {
      lsn ??= await ask.position();
      const found = lsn === undefined ? [] : await ask.replicas(lsn);
      // A standby that is gone may come back without having replayed it.
      least = look === 0 ? found.length : least;
      const behind = behindOf(found, replicas);
      seen = { found, behind };
      if (behind.length === 0 && (replicas !== true || found.length >= least)) {
        return { ...result, lsn };
      }
      const waitMs = Math.min(FIRST_LOOK_MS * 2 ** look, LONGEST_LOOK_MS);
      if (performance.now() + waitMs >= endsAtMs || found.some(({ name }) => name === null)) {
        throw replicasBehind(result, found, behind);
      }
      await pause(waitMs, signal);
    }
  } catch (cause) {
    if (signal?.aborted) {
      throw new RefreshCancelledError(
        `The wait for standbys after the refresh of materialized view "${result.view}" was cancelled. Its rows are committed.`,
        { view: result.view, cause },
      );
    }
    // The last check may have had almost no time.
    if (seen !== undefined && cause instanceof AnswerTimeout) {
      throw replicasBehind(result, seen.found, seen.behind);
    }
    throw statusErrorFrom(cause, 'find out what standbys have replayed', result.view);
  }
}

function replicaQuestions(
  database: Database,
  leftMs: () => number,
): {
  /** Nothing while no standby is connected. */
  position: () => Promise<string | undefined>;
  replicas: (lsn: string) => Promise<ReplicaRow[]>;
} {
  return {
    position: async () => {
      const [row] = await database.reading(leftMs(), (session) =>
        session.query<WalPositionRow>(selectWalPosition()),
      );
      return row?.lsn ?? undefined;
    },
    replicas: (lsn) =>
      database.reading(leftMs(), (session) => session.query<ReplicaRow>(selectReplicas(lsn))),
  };
}

/** Those that have not replayed it or are not connected. */
function behindOf(found: readonly ReplicaRow[], replicas: Replicas): string[] {
  if (replicas === true) {
    return found.filter((row) => !row.has_replayed).map(({ name }) => name ?? '?');
  }
  return replicas.filter((wanted) => {
    const own = found.filter(({ name }) => name === wanted);
    return own.length === 0 || own.some((row) => !row.has_replayed);
  });
}

function replicasBehind(
  result: RefreshResult,
  found: readonly ReplicaRow[],
  behind: readonly string[],
): ReplicasBehindError {
  const { view } = result;
  return found.some(({ name }) => name === null)
    ? new ReplicasBehindError(
        result,
        `It is not known whether standbys show the refresh of materialized view "${view}". Its rows are committed.`,
        'The role may not see how far they are: GRANT pg_monitor, or pg_read_all_stats, to it.',
      )
    : new ReplicasBehindError(
        result,
        `Standbys do not show the refresh of materialized view "${view}" in time: ${behind.join(', ') || 'one has gone'}. Its rows are committed.`,
        'Are they connected (pg_stat_replication), under these names (application_name in primary_conninfo), and not held up by long queries?',
      );
}
