import { inspect } from 'node:util';
import type { EntityManager } from 'typeorm';
import { type Duration, durationExpected, durationMs } from '../definition/duration.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { InvalidRefreshOptionsError } from '../errors/usage.errors.js';
import { modeOf, type RequestedMode } from './refresh-request.js';
import type { RefreshTrigger } from './refresh-result.js';

/** What becomes of a request while another refresh of the view is running, in whatever process. */
export type OnBusy = 'join' | 'wait' | 'skip' | 'fail';

export interface RefreshOptions {
  /**
   * What to do when the view is being refreshed already, by whatever process. `'join'` waits for a refresh
   * that began after this request, whoever does it: a thousand requests cost two refreshes; `'wait'` waits
   * for the running one to end and then always refreshes; `'skip'` returns at once, with the outcome
   * `skipped` and the reason `busy`; `'fail'` throws `RefreshBusyError`.
   * @default 'join'; with `manager` 'wait', which must see the caller's own rows
   */
  onBusy?: OnBusy;
  /** What to do when the view is paused: `'skip'` leaves it alone. @default 'refresh' */
  onPaused?: 'refresh' | 'skip';
  /** See the option of the same name of the view. @default that of the view */
  concurrently?: boolean | 'auto';
  /** See the option of the same name of the view. @default that of the view */
  swap?: boolean;
  /** See the option of the same name of the view. @default that of the view */
  strict?: boolean;
  /**
   * `false` empties the view and gives its room back: until its next refresh, reading it is an error.
   * @default true
   */
  withData?: boolean;
  /** How long the call may take in all, waiting included. @default no limit but those of the module */
  timeout?: Duration;
  /** Ends the call. The refresh is cancelled in the database, unless others wait for it too. */
  signal?: AbortSignal;
  /**
   * Refreshes in the transaction of this entity manager: sees its uncommitted rows, and is committed or
   * rolled back with it. The refresh lock is held, and with it every other refresh of the view, until
   * that transaction ends.
   */
  manager?: EntityManager;
  /** Needed only for a view that is registered in several data sources. */
  dataSource?: string;
}

export interface CheckedRefreshOptions {
  onBusy: OnBusy;
  onPaused: 'refresh' | 'skip';
  mode: RequestedMode;
  trigger: RefreshTrigger;
  timeoutMs?: number;
  signal?: AbortSignal;
}

const KNOWN = [
  'onBusy',
  'onPaused',
  'concurrently',
  'swap',
  'strict',
  'withData',
  'timeout',
  'signal',
  'manager',
  'dataSource',
];

/**
 * Checks what can be checked without the view: a value that is not known must not pass for the default.
 *
 * @param others names that are somebody else's to check
 * @throws InvalidRefreshOptionsError
 */
export function checkRefreshOptions(options: RefreshOptions, others: readonly string[] = []): void {
  if (typeof options !== 'object' || options === null) {
    throw refused('the options', 'an object', options);
  }
  const known = [...KNOWN, ...others];
  const unknown = Object.entries(options).find(
    ([name, value]) => value !== undefined && !known.includes(name),
  )?.[0];
  if (unknown !== undefined) {
    throw refused(`\`${unknown}\``, `absent: the options are ${known.join(', ')}`, 'it');
  }
  oneOf('onBusy', options.onBusy, ['join', 'wait', 'skip', 'fail']);
  oneOf('onPaused', options.onPaused, ['refresh', 'skip']);
  oneOf('concurrently', options.concurrently, ['auto', true, false]);
  oneOf('swap', options.swap, [true, false]);
  oneOf('strict', options.strict, [true, false]);
  oneOf('withData', options.withData, [true, false]);
  checkMode(options);
  checkPatience(options);
  checkManager(options);
  const { dataSource } = options;
  if (dataSource !== undefined && typeof dataSource !== 'string') {
    throw refused('`dataSource`', 'the name of a data source', dataSource);
  }
}

/** The options, once they have been checked, with their defaults, which are the view's. */
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
    timeoutMs: timeout === undefined ? undefined : durationMs(timeout, 1),
    signal,
  };
}

/** What the caller says about one way to refresh takes the view's word for another one back. */
function requestedMode(definition: ViewDefinition, options: RefreshOptions): RequestedMode {
  const usual = modeOf(definition);
  const { withData = true, strict = usual.strict } = options;
  // A swap waits for readers in steps, with lock limits that are not the caller's.
  const canSwap = withData && options.concurrently === undefined && options.manager === undefined;
  const swap = options.swap ?? (usual.swap && canSwap);
  const concurrently = options.concurrently ?? (swap || !withData ? 'auto' : usual.concurrently);
  return { concurrently, swap, strict, withData };
}

/** What the view says about the mode gives way to the caller: only two words of the caller's contradict each other. */
function checkMode({ withData, swap, concurrently }: RefreshOptions): void {
  if (withData === false && (swap === true || concurrently === true)) {
    throw refused(
      '`withData`',
      'true with `swap` or `concurrently`: there are no rows to put in',
      false,
    );
  }
  if (swap === true && concurrently !== undefined && concurrently !== 'auto') {
    throw refused('`concurrently`', "'auto' with `swap`", concurrently);
  }
}

function checkPatience({ timeout, signal }: RefreshOptions): void {
  if (timeout !== undefined && durationMs(timeout, 1) === undefined) {
    throw refused('`timeout`', durationExpected(1), timeout);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw refused('`signal`', 'an AbortSignal', signal);
  }
}

function checkManager({ manager, onBusy, timeout, signal, swap }: RefreshOptions): void {
  if (manager === undefined) {
    return;
  }
  if (manager?.queryRunner?.isTransactionActive !== true) {
    throw refused(
      '`manager`',
      'the entity manager of a transaction, as `dataSource.transaction((manager) => ...)` gives it',
      manager === null ? null : 'one without an open transaction',
    );
  }
  const excluded = { timeout, signal, swap, onBusy: onBusy === 'join' ? onBusy : undefined };
  for (const [name, value] of Object.entries(excluded)) {
    if (value !== undefined && value !== false) {
      throw refused(
        `\`${name}\``,
        "absent with `manager`: the refresh is part of a transaction whose time and end are the caller's",
        value,
      );
    }
  }
}

function oneOf(name: string, value: unknown, allowed: unknown[]): void {
  if (value !== undefined && !allowed.includes(value)) {
    throw refused(`\`${name}\``, allowed.map((each) => inspect(each)).join(', '), value);
  }
}

function refused(name: string, expected: string, given: unknown): InvalidRefreshOptionsError {
  return new InvalidRefreshOptionsError(
    `RefreshService.refresh: expected ${name} to be ${expected}, got ${inspect(given, { depth: 0 })}.`,
  );
}
