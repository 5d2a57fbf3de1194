import type { DataSourceContext } from '../definition/data-source.context.js';
import { withoutRowData } from '../errors/error-message.js';
import { displayNames, type QualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { Upkeep } from '../definition/upkeep.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { captureTable, finishCaptures, readUncaptured } from './capture-repair.js';
import { describeUncaptured, describeUnfinished } from './capture-warnings.js';
import { OWNERSHIP_HINT } from './schema-error.js';
import { allowsChanges, allowsCreation } from './sync-policy.js';

/** How often, at the most, a process repairs; what its boot put off it tries again as seldom in the end. */
const INTERVAL_MS = 30_000;

/** What a boot put off is tried again soon: as a rule one statement held the lock, and has ended. */
const FIRST_RETRY_MS = 2_000;

/** How often, at the most, it warns of what it cannot repair. */
const REMINDER_MS = 600_000;

/** Why tables stay uncaptured in a process whose policy does not allow to make triggers. */
const FORBIDDEN =
  '`synchronize` lets nothing be made here; make the triggers with SchemaService.apply or a generated migration';

const COMPLAINT = 'Could not look whether the tables that views read are captured.';

/**
 * Makes missing triggers in the background, between two boots: those of a partition that was attached or of a table
 * that was made anew, those that somebody disabled, and those that a boot put off.
 */
export class CaptureKeeper {
  /** Whether something is left that the boot put off. */
  private isUnfinished = false;
  private readonly timers = new Set<NodeJS.Timeout>();
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
   * To be called whenever a view is found with sources that are not all captured. Captures them in the background,
   * or warns that the policy does not allow it; now and then, and in one process at a time. Never throws.
   */
  maybeRepair(): void {
    (this.isAllowed ? this.repairs : this.reminders).maybeDo();
  }

  /** For a boot that could not have the locks for its triggers: tries again until it is done. */
  finishLater(): void {
    this.isUnfinished = true;
    this.tryAgain(FIRST_RETRY_MS);
  }

  /** Begins no more repairs, and waits a short time for one that is under way. */
  async stop(): Promise<void> {
    this.timers.forEach(clearTimeout);
    this.timers.clear();
    await Promise.all([this.repairs.stop(), this.reminders.stop()]);
  }

  private get isAllowed(): boolean {
    return allowsCreation(this.context.options.syncPolicy);
  }

  private tryAgain(inMs: number): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      if (this.isUnfinished) {
        this.repairs.maybeDo(0);
        this.tryAgain(Math.min(2 * inMs, INTERVAL_MS));
      }
    }, inMs);
    timer.unref();
    this.timers.add(timer);
  }

  private async repair(): Promise<undefined> {
    const uncaptured = this.isAllowed ? await this.readUncaptured() : [];
    const made: QualifiedName[] = [];
    const failures: string[] = [];
    for (const table of uncaptured) {
      if (this.repairs.isStopped) {
        break;
      }
      await this.tried(failures, async () => {
        if (await this.capture(table)) {
          made.push(table);
        }
      });
    }
    if (this.isUnfinished && !this.repairs.isStopped) {
      await this.tried(failures, () => this.finish());
    }
    this.tell(made, failures);
  }

  private readUncaptured(): Promise<QualifiedName[]> {
    const { database, views } = this.context;
    return this.transaction((session) =>
      readUncaptured(session, database.stateSchema, views.all()),
    );
  }

  /** Each table in a transaction of its own, so that waiting for one holds up no writer of another. */
  private capture(table: QualifiedName): Promise<boolean> {
    const { database, options } = this.context;
    return this.transaction((session) =>
      captureTable(session, database.stateSchema, table, options.lockTimeoutMs),
    );
  }

  private async finish(): Promise<void> {
    const { database, views, options } = this.context;
    const { lockTimeoutMs, syncPolicy, wakeUp } = options;
    const isFinished = await this.transaction((session) =>
      finishCaptures(session, {
        stateSchema: database.stateSchema,
        views: views.all(),
        creates: this.isAllowed,
        removes: allowsChanges(syncPolicy),
        wakeUp,
        lockTimeoutMs,
      }),
    );
    if (isFinished) {
      this.isUnfinished = false;
    }
  }

  private async tried(failures: string[], work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      failures.push(explained(error));
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
  const said = withoutRowData(error);
  return errorCode(error) === SqlState.insufficientPrivilege ? `${said} (${OWNERSHIP_HINT})` : said;
}
