import type { Log } from '../definition/data-source.context.js';
import { errorCode } from '../postgres/sqlstate.js';

/** How often a view that keeps failing with the same error is logged. */
const REPEAT_AFTER_MS = 600_000;

/** A view's last logged failure. */
interface LoggedFailure {
  code: string | undefined;
  saidAtMs: number;
  /** Failures since then, which were only logged at debug level. */
  silentCount: number;
}

/** Logs failures of a view: the first one, and later ones only from time to time. */
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
