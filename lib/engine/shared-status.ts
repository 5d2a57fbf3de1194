import { statusErrorFrom } from '../errors/status-error.factory.js';
import { inTime } from '../postgres/time-limit.js';
import type { ViewStatus } from '../status/view-status.js';

/** A reading that others may join goes on for so long, also where who began it has less patience. */
const READING_TIMEOUT_MS = 5_000;

type Read = (timeoutMs: number) => Promise<ViewStatus[]>;

/** The status of all views of a data source, read once for all who ask at about the same time. */
export class SharedStatus {
  private underWay: Promise<ViewStatus[]> | undefined;
  private last: { statuses: ViewStatus[]; readAtMs: number } | undefined;

  constructor(
    private readonly dataSource: string,
    private readonly read: Read,
  ) {}

  /**
   * An answer that came at most `maxAgeMs` ago, else that of the reading under way, else that of a new one. A failure is
   * not kept.
   *
   * @throws StatusError when there is none within `timeoutMs`
   */
  async statusAll(maxAgeMs: number, timeoutMs: number): Promise<ViewStatus[]> {
    const { last } = this;
    if (last !== undefined && performance.now() - last.readAtMs <= maxAgeMs) {
      return last.statuses;
    }
    this.underWay ??= this.begin(Math.max(timeoutMs, READING_TIMEOUT_MS));
    try {
      return await inTime(this.underWay, timeoutMs);
    } catch (cause) {
      throw statusErrorFrom(
        cause,
        `read the status of the views of data source "${this.dataSource}"`,
      );
    }
  }

  private async begin(timeoutMs: number): Promise<ViewStatus[]> {
    try {
      const statuses = await this.read(timeoutMs);
      this.last = { statuses, readAtMs: performance.now() };
      return statuses;
    } finally {
      this.underWay = undefined;
    }
  }
}
