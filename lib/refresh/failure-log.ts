import type { Log } from '../definition/data-source.context.js';
import { errorCode } from '../postgres/sqlstate.js';

/** How often a view that fails again and again with the same error is logged as failing. */
const REPEAT_AFTER_MS = 600_000;

/** The last failure of a view that was logged as one. */
interface LoggedFailure {
  code: string | undefined;
  saidAtMs: number;
  /** Failures since then, which were logged for debugging only. */
  silentCount: number;
}

/** Logs that a view fails: the first time, and from then on not each time. */
export class FailureLog {
  private readonly last = new Map<string, LoggedFailure>();

  constructor(
    private readonly log: Log,
    private readonly say = (message: string): void => log.error(message),
  ) {}

  /**
   * Logs a failure, unless the same error was logged a short time ago.
   *
   * @param nowMs by `performance.now()`
   */
  failed(view: string, error: unknown, message: string, nowMs = performance.now()): void {
    const code = errorCode((error as Error | undefined)?.cause) ?? errorCode(error);
    const last = this.last.get(view);
    if (last !== undefined && last.code === code && nowMs - last.saidAtMs < REPEAT_AFTER_MS) {
      last.silentCount++;
      this.log.debug(message);
      return;
    }
    const silentCount = last?.code === code ? (last?.silentCount ?? 0) : 0;
    this.last.set(view, { code, saidAtMs: nowMs, silentCount: 0 });
    this.say(
      silentCount === 0
        ? message
        : `${message} (and ${silentCount} times since this was last logged)`,
    );
  }

  succeeded(view: string): void {
    this.last.delete(view);
  }
}
