import { EntitySchema } from 'typeorm';
import { cronProblem, timeZoneProblem } from './cron-grid.js';
import { durationMs } from './duration.js';
import type { ViewRefreshOptions } from './materialized-view-entity.options.js';
import type { OptionPath } from './option-path.js';
import {
  aBoolean,
  aDuration,
  aQualifiedName,
  listOf,
  notImported,
  objectOf,
  oneOf,
  type Rule,
} from './option-rules.js';
import { isUtc, pgCronProblem } from './pg-cron-schedule.js';
import { policyRules } from './refresh-policy.js';
import { SCHEDULERS } from './view-definition.js';

export const DEFAULT_TIME_ZONE = 'UTC';
export const DEFAULT_DEBOUNCE_MS = 1_000;

/** At least as long as the debounce, so that setting `debounce` alone is enough. */
export function defaultMaxWaitMs(debounceMs: number): number {
  return Math.max(30_000, debounceMs);
}

const aTable: Rule = (value, at) => {
  if (typeof value === 'string') {
    aQualifiedName(value, at);
  } else if (typeof value !== 'function' && !(value instanceof EntitySchema)) {
    throw notImported(at, 'an entity or the name of a table', value);
  }
};

const tables: Rule = (value, at) => {
  if (value === 'sources') {
    return;
  }
  if (!Array.isArray(value) || value.length === 0) {
    throw at.refuse("'sources' or an array of entities and tables", value);
  }
  listOf(aTable)(value, at);
};

const aTimeZone: Rule = (value, at) => {
  const problem = typeof value === 'string' ? timeZoneProblem(value) : 'it is not text';
  if (problem !== undefined) {
    throw at.refuse(`an IANA time zone (${problem})`, value);
  }
};

const rules = objectOf<ViewRefreshOptions>({
  // Checked together with `timeZone`, below.
  cron: () => undefined,
  timeZone: aTimeZone,
  scheduler: oneOf(...SCHEDULERS),
  on: tables,
  debounce: aDuration(0),
  maxWait: aDuration(0),
  skipUnchanged: aBoolean,
  maxStaleness: aDuration(1),
  ...policyRules,
});

/** The option `refresh` of a view. */
export const refreshRules: Rule = (value, at) => {
  rules(value, at);
  const refresh = value as ViewRefreshOptions;
  checkCron(refresh, at);
  checkScheduler(refresh, at);
  checkWaits(refresh, at);
  checkSkipping(refresh, at);
};

function checkCron({ cron, timeZone }: ViewRefreshOptions, at: OptionPath): void {
  if (cron === undefined) {
    if (timeZone !== undefined) {
      throw at.member('timeZone').refuse('absent without `cron`', timeZone);
    }
    return;
  }
  const problem =
    typeof cron === 'string' ? cronProblem(cron, timeZone ?? DEFAULT_TIME_ZONE) : 'it is not text';
  if (problem !== undefined) {
    throw at.member('cron').refuse(`a cron expression of 5 or 6 fields (${problem})`, cron);
  }
}

/** What a pg_cron job can't express or do. */
function checkScheduler(refresh: ViewRefreshOptions, at: OptionPath): void {
  const { scheduler, cron, timeZone = DEFAULT_TIME_ZONE, mode } = refresh;
  if (scheduler !== undefined && cron === undefined) {
    throw at.member('scheduler').refuse('absent where there is no `cron`', scheduler);
  }
  if (scheduler !== 'pg_cron' || cron === undefined) {
    return;
  }
  const problem = pgCronProblem(cron);
  if (problem !== undefined) {
    throw at.member('cron').refuse(`one that pg_cron can run (${problem})`, cron);
  }
  if (!isUtc(timeZone)) {
    const expected =
      "'UTC' with `scheduler: 'pg_cron'` (pg_cron has one time zone for the whole server)";
    throw at.member('timeZone').refuse(expected, timeZone);
  }
  if (mode === 'swap') {
    const expected =
      "another one with `scheduler: 'pg_cron'` (a process has to build the copy of the view)";
    throw at.member('mode').refuse(expected, mode);
  }
  for (const name of ['on', 'maxStaleness', 'skipUnchanged'] as const) {
    if (refresh[name] !== undefined && refresh[name] !== false) {
      const expected =
        "absent with `scheduler: 'pg_cron'` (a process has to watch the writes, and to keep their log small)";
      throw at.member(name).refuse(expected, refresh[name]);
    }
  }
}

function checkWaits({ on, debounce, maxWait }: ViewRefreshOptions, at: OptionPath): void {
  for (const [name, value] of Object.entries({ debounce, maxWait })) {
    if (value !== undefined && on === undefined) {
      throw at.member(name).refuse('absent without `on`', value);
    }
  }
  const debounceMs = durationMs(debounce, 0) ?? DEFAULT_DEBOUNCE_MS;
  const maxWaitMs = durationMs(maxWait, 0) ?? defaultMaxWaitMs(debounceMs);
  if (maxWaitMs < debounceMs) {
    throw at
      .member('maxWait')
      .refuse(`at least as long as \`debounce\` (${debounceMs} ms)`, maxWait);
  }
}

/** Writers would pay for tracking that nothing uses. */
function checkSkipping(refresh: ViewRefreshOptions, at: OptionPath): void {
  const { skipUnchanged, cron, on, maxStaleness } = refresh;
  if (skipUnchanged && (cron ?? on ?? maxStaleness) === undefined) {
    throw at
      .member('skipUnchanged')
      .refuse(
        'absent if the view is only refreshed on demand (no `cron`, `on` or `maxStaleness`): only ticks are skipped',
        skipUnchanged,
      );
  }
}
