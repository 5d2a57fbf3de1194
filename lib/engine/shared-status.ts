import { statusErrorFrom } from '../errors/status-error.factory.js';
import { inTime } from '../postgres/time-limit.js';
import type { ViewStatus } from '../status/view-status.js';
import { SharedReading } from './shared-reading.js';

/** How long a shared reading goes on, even if the caller who began it has a shorter timeout. */
const READING_TIMEOUT_MS = 5_000;

type Read = (timeoutMs: number) => Promise<ViewStatus[]>;

/** The status of all views of a data source, shared by all callers at about the same time. */
export class SharedStatus {
  private readonly reading = new SharedReading<ViewStatus[]>();

  constructor(
    private readonly dataSource: string,
    private readonly read: Read,
  ) {}

  /**
   * An answer at most `maxAgeMs` old, otherwise that of the running reading, otherwise that of a new one.
   *
   * @throws StatusError if there is none within `timeoutMs`
   */
  async statusAll(maxAgeMs: number, timeoutMs: number): Promise<ViewStatus[]> {
    const answer = this.reading.get(maxAgeMs, () =>
      this.read(Math.max(timeoutMs, READING_TIMEOUT_MS)),
    );
    try {
      return await inTime(answer, timeoutMs);
    } catch (cause) {
      throw statusErrorFrom(
        cause,
        `read the status of the views of data source "${this.dataSource}"`,
      );
    }
  }
}
