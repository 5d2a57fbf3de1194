import { durationExpected, durationMs } from './duration.js';
import type { ViewRefreshOptions } from './materialized-view-entity.options.js';
import type { OptionChecks } from './option-checks.js';
import type { RefreshPolicy } from './view-definition.js';

/** How a view is refreshed; when, is somebody else's to check. */
export const POLICY_OPTIONS = ['concurrently', 'swap', 'strict', 'minInterval', 'settings'];

/** Each is part of how a refresh keeps its promises. */
const OWN_SETTINGS = [
  'statement_timeout',
  'lock_timeout',
  'transaction_timeout',
  'idle_in_transaction_session_timeout',
  'client_connection_check_interval',
  'transaction_isolation',
  'transaction_read_only',
  'search_path',
  'role',
  'session_authorization',
];

/** https://www.postgresql.org/docs/current/config-setting.html#CONFIG-SETTING-NAMES-VALUES, and dots for extensions. */
const SETTING_NAME = /^[a-z_][a-z0-9_.]*$/i;

/** Checks the options that say how. */
export function validatePolicy(checks: OptionChecks, refresh: ViewRefreshOptions): void {
  validateMode(checks, refresh);
  validateSettings(checks, refresh.settings);
  const { minInterval } = refresh;
  if (minInterval !== undefined && durationMs(minInterval, 0) === undefined) {
    throw checks.refuse('refresh.minInterval', durationExpected(0), minInterval);
  }
}

/** The policy of a view whose options have been checked. */
export function refreshPolicy(refresh: ViewRefreshOptions = {}): RefreshPolicy {
  const { concurrently = 'auto', swap = false, strict = false, minInterval = 0 } = refresh;
  return {
    concurrently,
    swap,
    strict,
    minIntervalMs: durationMs(minInterval, 0) ?? 0,
    settings: Object.fromEntries(
      Object.entries(refresh.settings ?? {}).map(([name, value]) => [name, String(value)]),
    ),
  };
}

function validateMode(
  checks: OptionChecks,
  { concurrently, swap, strict }: ViewRefreshOptions,
): void {
  checks.ofType('refresh.swap', swap, 'boolean');
  checks.ofType('refresh.strict', strict, 'boolean');
  if (concurrently !== undefined && concurrently !== 'auto') {
    checks.ofType('refresh.concurrently', concurrently, 'boolean');
  }
  if (swap === true && concurrently !== undefined && concurrently !== 'auto') {
    throw checks.refuse(
      'refresh.concurrently',
      "'auto' where `refresh.swap` is true",
      concurrently,
    );
  }
}

function validateSettings(checks: OptionChecks, settings: unknown): void {
  if (settings === undefined) {
    return;
  }
  checks.storage('refresh.settings', settings);
  for (const name of Object.keys(settings as object)) {
    if (!SETTING_NAME.test(name)) {
      throw checks.refuse('refresh.settings', 'an object of settings of PostgreSQL', name);
    }
    if (OWN_SETTINGS.includes(name.toLowerCase())) {
      throw checks.refuse(
        'refresh.settings',
        `without ${name}, which is the library's own (see the module's options for time limits)`,
        settings,
      );
    }
  }
}
