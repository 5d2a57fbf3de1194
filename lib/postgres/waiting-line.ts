import { Semaphore } from 'async-mutex';

/** The greater priority goes first; among equals, the one that came first. */
const PRIORITY = { ordinary: 1, background: 0 };

/** Whose turn it is. */
export interface Turn {
  /** No caller waits for this work: work with a waiting caller goes first. */
  isBackground: boolean;
  /** Aborted when a caller begins to wait for it. */
  urgency: AbortSignal;
}

/**
 * The queue for a limited number of places: refreshes with a waiting caller go before refreshes that are
 * only due.
 */
export class WaitingLine {
  private readonly places: Semaphore;

  /** @param closed the error for work that still waits when the queue is closed */
  constructor(size: number, closed: Error) {
    this.places = new Semaphore(size, closed);
  }

  /** Rejects everything that waits. */
  close(): void {
    this.places.cancel();
  }

  get freeCount(): number {
    return Math.max(0, this.places.getValue());
  }

  /** @returns a function that frees the place */
  async take(turn?: Turn): Promise<() => void> {
    return turn?.isBackground ? this.takeBehindOthers(turn) : this.takeBy(PRIORITY.ordinary);
  }

  private async takeBy(priority: number): Promise<() => void> {
    const [, release] = await this.places.acquire(1, priority);
    return release;
  }

  /**
   * Once it is urgent, it waits twice in the queue. The place that comes second is freed at once.
   */
  private async takeBehindOthers({ urgency }: Turn): Promise<() => void> {
    return new Promise((resolve, reject) => {
      let isIn = false;
      const stand = (priority: number): void => {
        this.takeBy(priority).then((release) => {
          if (isIn) {
            release();
          }
          isIn = true;
          resolve(release);
        }, reject);
      };
      stand(PRIORITY.background);
      urgency.addEventListener('abort', () => stand(PRIORITY.ordinary));
    });
  }
}
