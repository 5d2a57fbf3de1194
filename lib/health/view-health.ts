import type { ViewStatus } from '../status/view-status.js';

/** What the check reports about a view. It has no row data. */
export interface ViewHealth {
  /** Left out if the library has not filled the view yet. */
  ageMs?: number;
  /** Left out if there is no limit. */
  maxAgeMs?: number;
  /** A SQLSTATE, or the `code` of one of the library's errors; only if the last refresh failed. */
  lastErrorCode?: string;
  /** The holder of the lock that stops refreshes of the view. */
  lockedBy?: { backendPid?: number; role?: string; applicationName: string }[];
  problems: string[];
}

/** In milliseconds. */
export interface AgeLimits {
  warnAfterMs?: number;
  errorAfterMs?: number;
}

export interface JudgedView {
  isDown: boolean;
  health: ViewHealth;
}

/** Pure. */
export function judge(status: ViewStatus, limits: AgeLimits): JudgedView {
  const errors = errorsOf(status, limits);
  const { ageMs, failureCount, lastFailure, lockedBy } = status;
  const health: ViewHealth = {
    ageMs,
    maxAgeMs: limits.errorAfterMs ?? status.maxStalenessMs,
    lastErrorCode: failureCount > 0 ? lastFailure?.errorCode : undefined,
    lockedBy: lockedBy?.map(({ backendPid, role, applicationName }) => ({
      backendPid,
      role,
      applicationName,
    })),
    problems: [...errors, ...warningsOf(status, limits)],
  };
  return { isDown: errors.length > 0, health };
}

function errorsOf(status: ViewStatus, { errorAfterMs }: AgeLimits): string[] {
  if (!status.exists) {
    return ['is not in the database'];
  }
  if (!status.isPopulated) {
    return ['has no rows yet, and cannot be read'];
  }
  if (errorAfterMs === undefined) {
    return status.isStale ? ['is stale'] : [];
  }
  return isOlder(status, errorAfterMs) ? ['is older than errorAfter'] : [];
}

function warningsOf(status: ViewStatus, { warnAfterMs }: AgeLimits): string[] {
  const { failureCount, isPaused, jobProblem, lockedBy } = status;
  const warnings: [string, boolean][] = [
    ['is older than warnAfter', warnAfterMs !== undefined && isOlder(status, warnAfterMs)],
    [`has failed ${failureCount} times in a row`, failureCount > 0],
    ['is paused', isPaused],
    [`is not refreshed by pg_cron: ${jobProblem?.message}`, jobProblem !== undefined],
    ['cannot be refreshed, because someone else holds its lock', lockedBy !== undefined],
  ];
  return warnings.flatMap(([text, holds]) => (holds ? [text] : []));
}

/** The age of rows that the library didn't compute is unknown. */
function isOlder({ ageMs }: ViewStatus, limitMs: number): boolean {
  return ageMs === undefined || ageMs > limitMs;
}
