import { Lease } from '../definition/lease.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { isDoneWithin } from '../postgres/time-limit.js';
import { nextLookAfterErrorInMs } from './look-interval.js';
import { Rest } from './rest.js';

/** How often the holder renews its lease. */
const RENEWAL_MS = 2_000;

/** The times of the lease for background work. */
export const WORK_LEASE_TIMES = {
  /** Two renewals may fail. */
  heldMs: 3 * RENEWAL_MS,
  slotMs: 3_000,
  /**
   * If most of many processes die at once, the others ask after this time at the latest. Connecting is what costs: 500
   * processes ask 100 times a minute in all, and 50 of them 20 times.
   */
  longestTurnMs: 300_000,
};

/** How long a stopping application waits until the lease is released. */
const STOP_TIMEOUT_MS = 2_000;

/** What one process at a time does for all processes like it. */
export interface SharedWork {
  start(): void;
  stop(): Promise<void>;
  /** For how long nothing will be due; 0 if something may be. */
  readonly restMs: number;
}

export interface LeaseKeeperOptions {
  lease: Lease;
  /** The name of the lease for these views. */
  nameOf: (scheduled: readonly ViewDefinition[]) => string;
  /** The views that this process refreshes by schedule now. */
  scheduled: () => readonly ViewDefinition[];
  work: SharedWork;
  /** Whether it keeps the process alive. */
  isAlive: boolean;
  /** How often this process checks, by its own clocks, whether a rest is over. */
  lookMs: number;
}

/**
 * Lets only the process that holds the lease do the work.
 *
 * Its states: idle (another process works, or there is nothing to do) -> working -> idle. If the server refuses
 * the request for the lease, the process works too: the lease only saves duplicate work.
 */
export class LeaseKeeper {
  /** A time without a need to ask. */
  private readonly rest = new Rest();
  private timer?: NodeJS.Timeout;
  private asking: Promise<void> = Promise.resolve();
  private releasing: Promise<void> = Promise.resolve();
  private isWorking = false;
  private retryMs = 0;
  private isStopped = false;

  constructor(private readonly options: LeaseKeeperOptions) {}

  start(firstInMs: number): void {
    this.wait(firstInMs);
  }

  /** Ends the work, and begins to release the lease. */
  async stop(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.timer);
    // An earlier request may still bring it.
    this.releasing = this.asking.then(() => this.options.lease.release());
    await this.options.work.stop();
  }

  /** After `stop`: waits a short time until the lease is released, so that another process gets it at once. */
  async untilReleased(): Promise<void> {
    await isDoneWithin(this.releasing, STOP_TIMEOUT_MS);
  }

  private wait(ms: number): void {
    if (!this.isStopped) {
      this.timer = setTimeout(() => this.wakeUp(), ms);
      if (!this.options.isAlive) {
        this.timer.unref();
      }
    }
  }

  private wakeUp(): void {
    if (this.rest.isOver(this.options.scheduled())) {
      this.asking = this.ask();
    } else {
      this.waitForRest();
    }
  }

  private waitForRest(): void {
    this.wait(Math.min(this.rest.leftMs, this.options.lookMs));
  }

  private async ask(): Promise<void> {
    const { lease, nameOf, scheduled, work } = this.options;
    const views = scheduled();
    const ownRestMs = this.isWorking ? work.restMs : 0;
    try {
      const answer = await lease.ask({
        name: nameOf(views),
        restMs: ownRestMs,
        // A process that doesn't get the lease keeps no connection.
        isConnectionKept: (row) => row.is_holder && ownRestMs <= RENEWAL_MS,
      });
      this.retryMs = 0;
      await this.setWorking(answer.is_holder);
      const awakeMs = answer.is_holder ? RENEWAL_MS : answer.turn_ms;
      this.rest.begin(Math.max(answer.rest_ms + answer.turn_ms, awakeMs), views);
    } catch (error) {
      this.retryMs = nextLookAfterErrorInMs(this.retryMs, Math.random());
      await this.setWorking(this.isWorking || Lease.isRefused(error));
      this.rest.begin(this.retryMs, views);
    }
    this.waitForRest();
  }

  private async setWorking(isWorking: boolean): Promise<void> {
    if (isWorking !== this.isWorking && !this.isStopped) {
      this.isWorking = isWorking;
      if (isWorking) {
        this.options.work.start();
      } else {
        await this.options.work.stop();
      }
    }
  }
}
