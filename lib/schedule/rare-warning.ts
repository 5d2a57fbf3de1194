import type { Log } from '../definition/data-source.context.js';

/** How often to warn about a problem that lasts, such as a server that is down. */
const WARN_EVERY_MS = 60_000;

/** Warns about a problem that lasts: at most once a minute, not each time it is found. */
export class RareWarning {
  private warnedAtMs = -Infinity;

  constructor(private readonly log: Log) {}

  warn(message: string): void {
    const nowMs = performance.now();
    if (nowMs - this.warnedAtMs >= WARN_EVERY_MS) {
      this.warnedAtMs = nowMs;
      this.log.warn(message);
    }
  }
}
