import { EntitySchema } from 'typeorm';
import { durationMs, durationExpected } from './duration.js';
import { cronProblem, timeZoneProblem } from './cron-grid.js';
import type { ViewRefreshOptions } from './materialized-view-entity.options.js';
import type { OptionChecks } from './option-checks.js';
import { POLICY_OPTIONS, validatePolicy } from './refresh-policy.js';

const REFRESH_OPTIONS = [
  'cron',
  'timeZone',
  'on',
  'debounce',
  'maxWait',
  'skipUnchanged',
  'maxStaleness',
  ...POLICY_OPTIONS,
];

export const DEFAULT_TIME_ZONE = 'UTC';
export const DEFAULT_DEBOUNCE_MS = 1_000;

/** At least as long as the debounce: whoever says how long a pause has to be need not say more. */
export function defaultMaxWaitMs(debounceMs: number): number {
  return Math.max(30_000, debounceMs);
}

/** Checks the option `refresh` of a view. */
export function validateRefresh(
  checks: OptionChecks,
  refresh: ViewRefreshOptions | undefined,
): void {
  if (refresh === undefined) {
    return;
  }
  checks.knownOptions('refresh.', refresh, REFRESH_OPTIONS);
  checks.ofType('refresh.skipUnchanged', refresh.skipUnchanged, 'boolean');
  validateCron(checks, refresh);
  validateTables(checks, refresh.on);
  validateWaits(checks, refresh);
  validateSkipping(checks, refresh);
  validatePolicy(checks, refresh);
}

function validateCron(checks: OptionChecks, { cron, timeZone }: ViewRefreshOptions): void {
  checks.nonEmptyText('refresh.timeZone', timeZone);
  const zoneProblem = timeZone === undefined ? undefined : timeZoneProblem(timeZone);
  if (zoneProblem !== undefined) {
    throw checks.refuse('refresh.timeZone', `an IANA time zone (${zoneProblem})`, timeZone);
  }
  if (cron === undefined) {
    if (timeZone !== undefined) {
      throw checks.refuse('refresh.timeZone', 'absent where there is no `cron`', timeZone);
    }
    return;
  }
  const problem =
    typeof cron === 'string' ? cronProblem(cron, timeZone ?? DEFAULT_TIME_ZONE) : 'it is not text';
  if (problem !== undefined) {
    throw checks.refuse('refresh.cron', `a cron expression of 5 or 6 fields (${problem})`, cron);
  }
}

function validateTables(checks: OptionChecks, on: ViewRefreshOptions['on']): void {
  if (on === undefined || on === 'sources') {
    return;
  }
  if (!Array.isArray(on) || on.length === 0) {
    throw checks.refuse('refresh.on', "'sources' or an array of entities and tables", on);
  }
  // A hole of the array is one that is undefined, and not passed over.
  Array.from(on).forEach((table, position) => {
    const path = `refresh.on[${position}]`;
    if (typeof table === 'string') {
      checks.qualifiedName(path, table);
    } else if (typeof table !== 'function' && !(table instanceof EntitySchema)) {
      throw checks.refuse(
        path,
        'an entity or the name of a table (two files that import each other see one class too early: give its name then)',
        table,
      );
    }
  });
}

function validateWaits(checks: OptionChecks, refresh: ViewRefreshOptions): void {
  const { on, debounce, maxWait, maxStaleness } = refresh;
  for (const [name, value] of Object.entries({ debounce, maxWait })) {
    if (value !== undefined && on === undefined) {
      throw checks.refuse(`refresh.${name}`, 'absent where there is no `on`', value);
    }
  }
  const debounceMs = duration(checks, 'debounce', debounce, 0) ?? DEFAULT_DEBOUNCE_MS;
  const maxWaitMs = duration(checks, 'maxWait', maxWait, 0) ?? defaultMaxWaitMs(debounceMs);
  duration(checks, 'maxStaleness', maxStaleness, 1);
  if (maxWaitMs < debounceMs) {
    throw checks.refuse(
      'refresh.maxWait',
      `at least as long as \`debounce\` (${debounceMs} ms)`,
      maxWait,
    );
  }
}

/** Writers would pay for knowing what nobody asks for. */
function validateSkipping(
  checks: OptionChecks,
  { skipUnchanged, cron, on, maxStaleness }: ViewRefreshOptions,
): void {
  if (skipUnchanged && (cron ?? on ?? maxStaleness) === undefined) {
    throw checks.refuse(
      'refresh.skipUnchanged',
      'absent where nothing refreshes the view by itself (`cron`, `on`, `maxStaleness`): it is ticks that are skipped',
      skipUnchanged,
    );
  }
}

function duration(
  checks: OptionChecks,
  name: string,
  value: unknown,
  minimumMs: number,
): number | undefined {
  const parsed = durationMs(value, minimumMs);
  if (value !== undefined && parsed === undefined) {
    throw checks.refuse(`refresh.${name}`, durationExpected(minimumMs), value);
  }
  return parsed;
}
