import { durationMs } from './duration.js';
import type { ViewRefreshOptions } from './materialized-view-entity.options.js';
import { aBoolean, aDuration, oneOf, parameters, type Rule, type Rules } from './option-rules.js';
import { refusedSetting } from './refused-settings.js';
import { MODE_CHOICES, type RefreshPolicy } from './view-definition.js';

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

type PolicyOptions = Pick<ViewRefreshOptions, 'mode' | 'strict' | 'minInterval' | 'settings'>;

/** The values of `mode`, for a view or a call. */
export const aMode = oneOf(...MODE_CHOICES);

/** The options that say how a view is refreshed. Those that say when are checked elsewhere. */
export const policyRules: Rules<PolicyOptions> = {
  mode: aMode,
  strict: aBoolean,
  minInterval: aDuration(0),
  settings,
};

/** The policy of a view with checked options. */
export function refreshPolicy(refresh: ViewRefreshOptions = {}): RefreshPolicy {
  const { mode = 'auto', strict = false, minInterval = 0 } = refresh;
  return {
    mode,
    strict,
    minIntervalMs: durationMs(minInterval, 0) ?? 0,
    settings: Object.fromEntries(
      Object.entries(refresh.settings ?? {}).map(([name, value]) => [name, String(value)]),
    ),
  };
}
