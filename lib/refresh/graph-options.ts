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

/** Options for the whole set of views, besides those of each refresh. */
export interface GraphOptions {
  /**
   * How many views are refreshed at a time, in each data source. More than the module's `poolSize` has no effect,
   * because each refresh needs a connection.
   * @default the module's `poolSize`
   */
  concurrency?: number;
  /**
   * Whether the call throws `RefreshGraphError` at the end if a view failed or was left out. With `false` it only
   * reports that.
   * @default true
   */
  throwOnFailure?: boolean;
  /** Once aborted, running refreshes are cancelled and no others are started. */
  signal?: AbortSignal;
}

/** Options for several views: for all of them together, and for each refresh. */
export interface RefreshAllOptions extends RefreshOptions, GraphOptions {}

export interface RefreshManyOptions extends RefreshAllOptions {
  /**
   * Adds registered views: `dependencies` are those that the named ones read, `dependents` those that read them,
   * directly or not.
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
