import { Logger } from '@nestjs/common';

/** A server that is down is worth a warning now and then. */
const WARN_EVERY_MS = 60_000;

/** Says what goes on being wrong once a minute, and not each time that it is met. */
export class RareWarning {
  private readonly logger = new Logger('MaterializedViews');
  private warnedAtMs = -Infinity;

  warn(message: string): void {
    const nowMs = performance.now();
    if (nowMs - this.warnedAtMs >= WARN_EVERY_MS) {
      this.warnedAtMs = nowMs;
      this.logger.warn(message);
    }
  }
}
