import { Semaphore } from 'async-mutex';

/** The greater comes first; among equals, who came first. */
const PRIORITY = { ordinary: 1, background: 0 };

/** Whose turn it is. */
export interface Turn {
  /** Nobody waits for what is to be done: whoever does comes first. */
  isBackground: boolean;
  /** Aborted when somebody does wait for it. */
  urgency: AbortSignal;
}

/** Who waits for one of so many places: refreshes that somebody waits for before those that are only due. */
export class WaitingLine {
  private readonly places: Semaphore;

  /** @param closed what those get who still wait when it is closed */
  constructor(size: number, closed: Error) {
    this.places = new Semaphore(size, closed);
  }

  /** Turns away all who wait. */
  close(): void {
    this.places.cancel();
  }

  get freeCount(): number {
    return Math.max(0, this.places.getValue());
  }

  /** @returns what gives the place back */
  async take(turn?: Turn): Promise<() => void> {
    return turn?.isBackground ? this.takeBehindOthers(turn) : this.takeBy(PRIORITY.ordinary);
  }

  private async takeBy(priority: number): Promise<() => void> {
    const [, release] = await this.places.acquire(1, priority);
    return release;
  }

  /** Stands in line twice once it is urgent; the place that comes second is given back at once. */
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
