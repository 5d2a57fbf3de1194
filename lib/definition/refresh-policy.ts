import { durationMs } from './duration.js';
import type { ViewRefreshOptions } from './materialized-view-entity.options.js';
import type { OptionPath } from './option-path.js';
import { aBoolean, aDuration, oneOf, parameters, type Rule, type Rules } from './option-rules.js';
import { refusedSetting } from './refused-settings.js';
import type { RefreshPolicy } from './view-definition.js';

/** https://www.postgresql.org/docs/current/config-setting.html#CONFIG-SETTING-NAMES-VALUES, and dots for extensions. */
const SETTING_NAME = /^[a-z_][a-z0-9_.]*$/i;

const settings: Rule = (value, at) => {
  parameters("an object of settings of PostgreSQL, as in `{ work_mem: '256MB' }`")(value, at);
  for (const name of Object.keys(value as object)) {
    if (!SETTING_NAME.test(name)) {
      throw at.refuse('an object of settings of PostgreSQL', name);
    }
    const reason = refusedSetting(name);
    if (reason !== undefined) {
      throw at.refuse(`without ${name}, which ${reason}`, value);
    }
  }
};

type PolicyOptions = Pick<
  ViewRefreshOptions,
  'concurrently' | 'swap' | 'strict' | 'minInterval' | 'settings'
>;

/** The options that say how a view is refreshed; when, is somebody else's to check. */
export const policyRules: Rules<PolicyOptions> = {
  concurrently: oneOf('auto', true, false),
  swap: aBoolean,
  strict: aBoolean,
  minInterval: aDuration(0),
  settings,
};

/** What a view, or a caller, may say about the mode, checked as a whole. */
export function requireOneMode(
  { swap, concurrently }: Pick<PolicyOptions, 'swap' | 'concurrently'>,
  at: OptionPath,
): void {
  if (swap === true && concurrently !== undefined && concurrently !== 'auto') {
    throw at.member('concurrently').refuse("'auto' with `swap`", concurrently);
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
