import type { DataSourceContext } from '../definition/data-source.context.js';
import { messageOf } from '../errors/error-message.js';
import { displayNames, type QualifiedName, quoteQualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { Upkeep } from '../definition/upkeep.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { captureTable, finishCaptures, readUncaptured, SyncLockTaken } from './capture-repair.js';
import { describeUncaptured, describeUnfinished, OWNERSHIP_HINT } from './capture-warnings.js';
import { RepairWaits } from './repair-waits.js';
import { allowsChanges, allowsCreation } from '../definition/policy-rights.js';

/** How often, at most, a process checks which tables are not captured. */
const INTERVAL_MS = 2_000;

/** How often, at most, it warns about what it can't repair. */
const REMINDER_MS = 600_000;

/** Why tables stay uncaptured in a process whose policy doesn't allow creating triggers. */
const FORBIDDEN =
  "`synchronize` doesn't allow creating anything here; create the triggers with SchemaService.apply or a generated migration";

const COMPLAINT = 'Could not check whether the tables that views read are captured.';

/**
 * The entry, in the list of what waits for a retry, for everything that a boot put off except
 * capturing tables.
 */
const THE_REST = '';

/**
 * Creates missing triggers in the background, between boots: those of an attached partition, of a new parent or of a
 * recreated table, those that someone disabled, and those that a boot put off.
 */
export class CaptureKeeper {
  /** Whether something that the boot put off is still to do. */
  private isUnfinished = false;
  /** What didn't get its locks and is tried again later. */
  private readonly waits = new RepairWaits();
  /** Why the last repair failed. */
  private failure?: string;
  private readonly repairs: Upkeep;
  private readonly reminders: Upkeep;

  constructor(private readonly context: DataSourceContext) {
    const { log } = context;
    const background = { complaint: COMPLAINT, log };
    const repair = (): Promise<undefined> => this.repair();
    const remind = (): Promise<undefined> => this.remind();
    this.repairs = new Upkeep({ ...background, intervalMs: INTERVAL_MS, work: repair });
    this.reminders = new Upkeep({ ...background, intervalMs: REMINDER_MS, work: remind });
  }

  /**
   * Call it whenever a view has sources that are not all captured. Captures them in the background within seconds,
   * in one process at a time; or warns from time to time that the policy doesn't allow it. Never throws.
   */
  maybeRepair(): void {
    if (this.isAllowed) {
      this.repairs.doSoon();
    } else {
      this.reminders.maybeDo();
    }
  }

  /** For a boot that didn't get the locks for its triggers: tries again until it is done. */
  finishLater(): void {
    this.isUnfinished = true;
    this.repairs.doSoon(INTERVAL_MS);
  }

  /** Resolves when no repair is running. A retry may still be planned. */
  async untilIdle(): Promise<void> {
    await Promise.all([this.repairs.untilIdle(), this.reminders.untilIdle()]);
  }

  /** Begins no more repairs, and waits a short time for a running one. */
  async stop(): Promise<void> {
    await Promise.all([this.repairs.stop(), this.reminders.stop()]);
  }

  private get isAllowed(): boolean {
    return allowsCreation(this.context.options.syncPolicy);
  }

  private async repair(): Promise<undefined> {
    try {
      await this.repairAll();
    } catch (error) {
      this.waits.failed(THE_REST);
      throw error;
    } finally {
      this.planNext();
    }
  }

  private async repairAll(): Promise<void> {
    const uncaptured = this.isAllowed ? await this.readUncaptured() : [];
    const rest = this.isUnfinished ? [THE_REST] : [];
    this.waits.keepOnly([...uncaptured.map(quoteQualifiedName), ...rest]);
    const made: QualifiedName[] = [];
    const failures: string[] = [];
    for (const table of uncaptured) {
      await this.tried(quoteQualifiedName(table), failures, async () => {
        if (await this.capture(table)) {
          made.push(table);
        }
      });
    }
    for (const part of rest) {
      await this.tried(part, failures, () => this.finish());
    }
    this.tell(made, failures);
  }

  /** What is left is not forgotten, although the view may not be checked again before its next tick. */
  private planNext(): void {
    const { firstInMs } = this.waits;
    if (firstInMs !== undefined) {
      this.repairs.doSoon(firstInMs);
    }
  }

  private readUncaptured(): Promise<QualifiedName[]> {
    const { database, views } = this.context;
    return this.transaction((session) =>
      readUncaptured(session, database.stateSchema, views.all()),
    );
  }

  /**
   * Each table in its own transaction, so that waiting for one doesn't block writers of another.
   *
   * @returns whether it did; `false` if another process has already done it
   */
  private capture(table: QualifiedName): Promise<boolean> {
    const { database, options } = this.context;
    return this.transaction((session) =>
      captureTable(session, database.stateSchema, table, options.lockTimeoutMs),
    );
  }

  private async finish(): Promise<void> {
    const { database, options } = this.context;
    const { lockTimeoutMs, syncPolicy, wakeUp } = options;
    await this.transaction((session) =>
      finishCaptures(session, {
        stateSchema: database.stateSchema,
        removes: allowsChanges(syncPolicy),
        wakeUp,
        lockTimeoutMs,
      }),
    );
    this.isUnfinished = false;
  }

  /** Does a part of a repair, unless it failed recently. */
  private async tried(part: string, failures: string[], work: () => Promise<void>): Promise<void> {
    if (this.repairs.isStopped || !this.waits.isOver(part)) {
      return;
    }
    try {
      await work();
      this.waits.succeeded(part);
    } catch (error) {
      this.waits.failed(part);
      if (error instanceof SyncLockTaken) {
        this.context.locks.maybeLook();
      } else {
        failures.push(explained(error));
      }
    }
  }

  private tell(made: QualifiedName[], failures: string[]): void {
    if (made.length > 0) {
      this.context.log.log(`Changes of ${displayNames(made)} are captured from now on`);
    }
    const [first] = failures;
    if (first === undefined) {
      this.failure = undefined;
    } else if (!this.repairs.isStopped) {
      this.failure = `${first}; it is tried again`;
      this.reminders.maybeDo();
    }
  }

  private async remind(): Promise<undefined> {
    const uncaptured = await this.readUncaptured();
    const { failure } = this;
    const reason = this.isAllowed ? failure : FORBIDDEN;
    if (uncaptured.length > 0 && reason !== undefined) {
      this.context.log.warn(describeUncaptured(uncaptured, reason));
    } else if (failure !== undefined && this.isUnfinished) {
      this.context.log.warn(describeUnfinished(failure));
    }
  }

  private transaction<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const { database, options } = this.context;
    const { lockTimeoutMs, statementTimeoutMs } = options;
    return database.transaction({ lockTimeoutMs, statementTimeoutMs }, work);
  }
}

function explained(error: unknown): string {
  const said = messageOf(error);
  return errorCode(error) === SqlState.insufficientPrivilege ? `${said} (${OWNERSHIP_HINT})` : said;
}
