import { setTimeout as delay } from 'node:timers/promises';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { RefreshBusyError, RefreshCancelledError } from '../errors/refresh.errors.js';
import type { CheckedRefreshOptions } from './refresh-options.js';
import { callRequest } from './occasions.js';
import { type Patience, withPatience } from './patience.js';
import type { RefreshRequest } from './refresh-request.js';
import type { RefreshResult } from './refresh-result.js';
import type { RefreshRunner } from './refresh.runner.js';
import { isBusy } from './run-results.js';

/** How long to wait before the lock of a refresh in another process is tried again: at first, and at most. */
const FIRST_LOOK_MS = 25;
const LONGEST_LOOK_MS = 1_000;

/** A requested refresh, shared by all callers who ask before it begins. */
export class Demand {
  private readonly abandoned = new AbortController();
  private readonly look = new AbortController();
  private outcome?: Promise<RefreshResult>;
  private callerCount = 0;
  private isTold = false;
  /** By `performance.now()`. */
  private lastCallAt = 0;

  /** @param onClosed called when it can serve no further callers */
  constructor(
    private readonly runner: RefreshRunner,
    private readonly definition: ViewDefinition,
    private readonly options: CheckedRefreshOptions,
    private readonly onClosed: () => void,
  ) {}

  /** Ends at the caller's timeout or signal. The refresh ends with its last caller. */
  async result(patience: Patience): Promise<RefreshResult> {
    this.lastCallAt = performance.now();
    this.callerCount++;
    try {
      return this.shared(
        await withPatience(viewName(this.definition), patience, () => this.share()),
      );
    } finally {
      if (--this.callerCount === 0) {
        this.abandon();
      }
    }
  }

  /**
   * One refresh gives one result `refreshed`, to the first caller that gets it, so that results can be
   * counted.
   */
  private shared(result: RefreshResult): RefreshResult {
    if (result.outcome !== 'refreshed' || !this.isTold) {
      this.isTold = true;
      return result;
    }
    return { ...result, outcome: 'joined' };
  }

  /** Checks at once whether it can go on. */
  hurry(): void {
    this.look.abort();
  }

  /** No caller waits for it any more. */
  private abandon(): void {
    this.onClosed();
    this.hurry();
    this.abandoned.abort();
  }

  private async share(): Promise<RefreshResult> {
    return (this.outcome ??= this.carryOut());
  }

  private async carryOut(): Promise<RefreshResult> {
    const request = this.request();
    try {
      for (let look = 0; ; look++) {
        const result = await this.runner.run(request);
        if (!isBusy(result) || request.policy.whenBusy !== 'ask-again') {
          return this.unlessBusy(result);
        }
        await this.untilWorthALook(look);
        this.throwIfAbandoned();
      }
    } finally {
      this.onClosed();
    }
  }

  private request(): RefreshRequest {
    return callRequest(this.definition, this.options, {
      lastCallAt: () => this.lastCallAt,
      onClosed: this.onClosed,
      signal: this.abandoned.signal,
    });
  }

  /** No caller gets it. */
  private throwIfAbandoned(): void {
    if (this.abandoned.signal.aborted) {
      throw new RefreshCancelledError('Nobody waits for the refresh any more.', {
        view: viewName(this.definition),
      });
    }
  }

  private unlessBusy(result: RefreshResult): RefreshResult {
    if (this.options.onBusy === 'fail' && isBusy(result)) {
      throw RefreshBusyError.of(result.view);
    }
    return result;
  }

  /**
   * The end of a refresh in this process is known; for one in another process, the lock is tried again.
   */
  private async untilWorthALook(look: number): Promise<void> {
    if (this.runner.isActive(this.definition)) {
      await this.runner.untilFree(this.definition);
      return;
    }
    const longestMs = Math.min(FIRST_LOOK_MS * 2 ** look, LONGEST_LOOK_MS);
    const { signal } = this.look;
    await delay(longestMs * (0.5 + Math.random() / 2), undefined, { signal }).catch(
      () => undefined,
    );
  }
}
