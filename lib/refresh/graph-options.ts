import {
  aBoolean,
  aCount,
  aSignal,
  objectOf,
  oneOf,
  type Rule,
  type Rules,
} from '../definition/option-rules.js';
import { checkTogether, REFRESH_RULES, type RefreshOptions } from './refresh-options.js';
import { REFRESH_CASCADES, type RefreshCascade } from '../graph/view-graph.js';

/** How many views are refreshed together, beside the options of each single refresh. */
export interface GraphOptions {
  /**
   * Views that are refreshed at a time, in each data source. More than the module's `poolSize` brings
   * nothing: each refresh has a connection of its own.
   * @default the module's `poolSize`
   */
  concurrency?: number;
  /**
   * Whether a `RefreshGraphError` is thrown, after all is done, when a view failed or was not begun;
   * `false` only reports it.
   * @default true
   */
  throwOnFailure?: boolean;
  /** Once it is aborted, the refreshes that are running are cancelled, and no further view is begun. */
  signal?: AbortSignal;
}

/** Of several views: what holds for all of them together, and the options that each of them gets. */
export interface RefreshAllOptions extends RefreshOptions, GraphOptions {}

export interface RefreshManyOptions extends RefreshAllOptions {
  /**
   * Which registered views are refreshed too, at whatever distance: `dependencies` are those that the
   * named ones read, `dependents` those that read them.
   * @default none
   */
  cascade?: RefreshCascade;
}

const graphRules: Rules<GraphOptions> = {
  concurrency: aCount(1),
  throwOnFailure: aBoolean,
  signal: aSignal,
};

function severalRefreshes(rules: Rule): Rule {
  return (value, at) => {
    rules(value, at);
    checkTogether(value as RefreshOptions, at);
  };
}

/** The options of a refresh of all views. */
export const allRefreshes = severalRefreshes(
  objectOf<RefreshAllOptions>({ ...REFRESH_RULES, ...graphRules }),
);

/** The options of a refresh of several views. */
export const manyRefreshes = severalRefreshes(
  objectOf<RefreshManyOptions>({
    ...REFRESH_RULES,
    ...graphRules,
    cascade: oneOf(...REFRESH_CASCADES),
  }),
);

/** One transaction refreshes one view at a time. */
export function graphOptions<Options extends RefreshManyOptions>(options: Options): Options {
  return options.manager === undefined ? options : { ...options, concurrency: 1 };
}
