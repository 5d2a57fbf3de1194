import type { EntityManager } from 'typeorm';
import type { ViewSelector } from '../definition/data-source-selector.js';
import { type Duration, milliseconds } from '../definition/duration.js';
import type { OptionPath } from '../definition/option-path.js';
import {
  aBoolean,
  aDuration,
  aSignal,
  matching,
  objectOf,
  oneOf,
  type Rule,
  type Rules,
  VIEW_RULES,
} from '../definition/option-rules.js';
import { aMode } from '../definition/refresh-policy.js';
import type { ModeChoice, ViewDefinition } from '../definition/view-definition.js';
import { modeOf, type RequestedMode } from './refresh-request.js';
import type { RefreshTrigger } from './refresh-result.js';

/** What a call does while another refresh of the view is running, in any process. */
export type OnBusy = 'join' | 'wait' | 'skip' | 'fail';

export interface RefreshOptions extends ViewSelector {
  /**
   * What to do if the view is already being refreshed, by any process. `'join'` waits for a refresh that began after
   * this call, whoever runs it: a thousand calls cost two refreshes. `'wait'` waits for the running one to end and
   * then refreshes itself. `'skip'` returns at once, with the outcome `skipped` and the reason `busy`. `'fail'`
   * throws `RefreshBusyError`.
   * @default 'join'; with `manager` 'wait', because it has to see the caller's own rows
   */
  onBusy?: OnBusy;
  /** What to do if the view is paused. `'skip'` leaves it alone. @default 'refresh' */
  onPaused?: 'refresh' | 'skip';
  /** Overrides the option of the view. @default the view's */
  mode?: ModeChoice;
  /** Overrides the option of the view. @default the view's */
  strict?: boolean;
  /**
   * `false` empties the view and frees its disk space. Until the next refresh, reading it is an error.
   * @default true
   */
  withData?: boolean;
  /** How long the call may take, waiting included. @default only the limits of the module */
  timeout?: Duration;
  /** Ends the call. The refresh is cancelled in the database unless others wait for it. */
  signal?: AbortSignal;
  /**
   * Refreshes in the transaction of this entity manager: sees its uncommitted rows, and is committed or rolled back
   * with it. All other refreshes of the view wait until that transaction ends.
   */
  manager?: EntityManager;
}

/** Options of a refresh of one view. */
export interface SingleRefreshOptions extends RefreshOptions {
  /**
   * Resolves only when standbys show the new rows too: all that are connected to the server, or those with these
   * names (`application_name` in their `primary_conninfo`), which must then be connected. The role needs
   * `pg_monitor`. If they don't show the rows within `timeout`, or 10 s after the refresh without one, the call
   * throws `ReplicasBehindError`. The refresh stays committed.
   * @default false
   */
  waitForReplicas?: true | readonly string[];
}

export interface CheckedRefreshOptions {
  onBusy: OnBusy;
  onPaused: 'refresh' | 'skip';
  mode: RequestedMode;
  trigger: RefreshTrigger;
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** The rules for the options of a single refresh, for calls that have further options. */
export const REFRESH_RULES: Rules<RefreshOptions> = {
  onBusy: oneOf('join', 'wait', 'skip', 'fail'),
  onPaused: oneOf('refresh', 'skip'),
  mode: aMode,
  strict: aBoolean,
  withData: aBoolean,
  timeout: aDuration(1),
  signal: aSignal,
  manager: matching(
    'the entity manager of an open transaction, as `dataSource.transaction((manager) => ...)` gives it',
    (value) => (value as EntityManager | null)?.queryRunner?.isTransactionActive === true,
  ),
  ...VIEW_RULES,
};

function isListOfNames(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isName);
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}

const refreshOptions = objectOf<SingleRefreshOptions>({
  ...REFRESH_RULES,
  waitForReplicas: matching(
    'true or a list of the names of standbys',
    (value) => value === true || isListOfNames(value),
  ),
});

/** Checks the options of `RefreshService.refresh` that don't depend on the view. */
export const singleRefresh: Rule = (value, at) => {
  refreshOptions(value, at);
  checkTogether(value as SingleRefreshOptions, at);
};

/** Refuses options that contradict each other. */
export function checkTogether(options: SingleRefreshOptions, at: OptionPath): void {
  const { withData, mode } = options;
  if (withData === false && (mode === 'swap' || mode === 'concurrently')) {
    throw at
      .member('withData')
      .refuse(`true with \`mode: '${mode}'\`: there are no rows to put in`, false);
  }
  checkManager(options, at);
}

function checkManager(
  { manager, onBusy, timeout, signal, mode, waitForReplicas }: SingleRefreshOptions,
  at: OptionPath,
): void {
  if (manager === undefined) {
    return;
  }
  const excluded = {
    timeout,
    signal,
    waitForReplicas,
    mode: mode === 'swap' ? mode : undefined,
    onBusy: onBusy === 'join' ? onBusy : undefined,
  };
  for (const [name, value] of Object.entries(excluded)) {
    if (value !== undefined) {
      throw at
        .member(name)
        .refuse(
          "absent with `manager`: the refresh is part of a transaction whose time and end are the caller's",
          value,
        );
    }
  }
}

/** The checked options, with the view's as defaults. */
export function resolveRefreshOptions(
  definition: ViewDefinition,
  options: RefreshOptions,
): CheckedRefreshOptions {
  const { onBusy = 'join', onPaused = 'refresh', timeout, signal } = options;
  return {
    onBusy,
    onPaused,
    mode: requestedMode(definition, options),
    trigger: 'demand',
    timeoutMs: timeout === undefined ? undefined : milliseconds(timeout),
    signal,
  };
}

function requestedMode(definition: ViewDefinition, options: RefreshOptions): RequestedMode {
  const usual = modeOf(definition);
  const { withData = true, strict = usual.strict, mode = usual.choice } = options;
  // A swap waits for readers in steps, with its own lock limits.
  const choice = mode === 'swap' && options.manager !== undefined ? 'auto' : mode;
  return { choice, strict, withData };
}
