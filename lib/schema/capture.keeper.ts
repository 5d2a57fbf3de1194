import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSourceRegistry } from '../definition/data-source.registry.js';
import { DefinitionRegistry } from '../definition/definition.registry.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { withoutRowData } from '../errors/error-message.js';
import { ModuleRegistrations } from '../module-registrations.js';
import type { Database } from '../postgres/database.js';
import { displayNames, type QualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { Upkeep } from '../upkeep.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { captureTable, finishCaptures, readUncaptured } from './capture-repair.js';
import { describeUncaptured, describeUnfinished } from './capture-warnings.js';
import { OWNERSHIP_HINT } from './schema-error.js';
import { allowsChanges, allowsCreation } from './sync-policy.js';

/** How often, at the most, a process repairs for one data source; what its boot put off it tries again as seldom in the end. */
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
@Injectable()
export class CaptureKeeper {
  private readonly logger = new Logger('MaterializedViews');
  /** The data sources with something left that their boot put off. */
  private readonly unfinished = new Set<Database>();
  private readonly timers = new Set<NodeJS.Timeout>();
  /** Why the last repair of a data source failed. */
  private readonly failures = new Map<Database, string>();
  private readonly repairs = new Upkeep({
    intervalMs: INTERVAL_MS,
    complaint: () => COMPLAINT,
    work: (database) => this.repair(database),
  });
  private readonly reminders = new Upkeep({
    intervalMs: REMINDER_MS,
    complaint: () => COMPLAINT,
    work: (database) => this.remind(database),
  });

  constructor(
    @Inject(ModuleRegistrations) private readonly registrations: ModuleRegistrations,
    @Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry,
    @Inject(DefinitionRegistry) private readonly definitions: DefinitionRegistry,
  ) {}

  /**
   * To be called whenever a view is found with sources that are not all captured. Captures them in the background,
   * or warns that the policy does not allow it; now and then, and in one process at a time. Never throws.
   */
  maybeRepair(dataSourceName: string): void {
    const upkeep = this.isAllowed ? this.repairs : this.reminders;
    upkeep.maybeDo(this.dataSources.get(dataSourceName));
  }

  /** For a boot that could not have the locks for its triggers: tries again until it is done. */
  finishLater(dataSourceName: string): void {
    const database = this.dataSources.get(dataSourceName);
    this.unfinished.add(database);
    this.tryAgain(database, FIRST_RETRY_MS);
  }

  /** Begins no more repairs, and waits a short time for one that is under way. */
  async stop(): Promise<void> {
    this.timers.forEach(clearTimeout);
    this.timers.clear();
    await Promise.all([this.repairs.stop(), this.reminders.stop()]);
  }

  private get isAllowed(): boolean {
    return allowsCreation(this.registrations.options.syncPolicy);
  }

  private tryAgain(database: Database, inMs: number): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      if (this.unfinished.has(database)) {
        this.repairs.maybeDo(database, 0);
        this.tryAgain(database, Math.min(2 * inMs, INTERVAL_MS));
      }
    }, inMs);
    timer.unref();
    this.timers.add(timer);
  }

  private async repair(database: Database): Promise<undefined> {
    const uncaptured = this.isAllowed ? await this.readUncaptured(database) : [];
    const made: QualifiedName[] = [];
    const failures: string[] = [];
    for (const table of uncaptured) {
      if (this.repairs.isStopped) {
        break;
      }
      await this.tried(failures, async () => {
        if (await this.capture(database, table)) {
          made.push(table);
        }
      });
    }
    if (this.unfinished.has(database) && !this.repairs.isStopped) {
      await this.tried(failures, () => this.finish(database));
    }
    this.tell(database, made, failures);
  }

  private readUncaptured(database: Database): Promise<QualifiedName[]> {
    return this.transaction(database, (session) =>
      readUncaptured(session, database.stateSchema, this.viewsOf(database)),
    );
  }

  /** Each table in a transaction of its own, so that waiting for one holds up no writer of another. */
  private capture(database: Database, table: QualifiedName): Promise<boolean> {
    const { lockTimeoutMs } = this.registrations.options;
    return this.transaction(database, (session) =>
      captureTable(session, database.stateSchema, table, lockTimeoutMs),
    );
  }

  private async finish(database: Database): Promise<void> {
    const { lockTimeoutMs, syncPolicy, wakeUp } = this.registrations.options;
    const isFinished = await this.transaction(database, (session) =>
      finishCaptures(session, {
        stateSchema: database.stateSchema,
        views: this.viewsOf(database),
        creates: this.isAllowed,
        removes: allowsChanges(syncPolicy),
        wakeUp,
        lockTimeoutMs,
      }),
    );
    if (isFinished) {
      this.unfinished.delete(database);
    }
  }

  private async tried(failures: string[], work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      failures.push(explained(error));
    }
  }

  private tell(database: Database, made: QualifiedName[], failures: string[]): void {
    if (made.length > 0) {
      this.logger.log(`Changes of ${displayNames(made)} are captured from now on`);
    }
    const [first] = failures;
    if (first === undefined) {
      this.failures.delete(database);
    } else if (!this.repairs.isStopped) {
      this.failures.set(database, `${first}; it is tried again`);
      this.reminders.maybeDo(database);
    }
  }

  private async remind(database: Database): Promise<undefined> {
    const uncaptured = await this.readUncaptured(database);
    const failure = this.failures.get(database);
    const reason = this.isAllowed ? failure : FORBIDDEN;
    if (uncaptured.length > 0 && reason !== undefined) {
      this.logger.warn(describeUncaptured(uncaptured, reason));
    } else if (failure !== undefined && this.unfinished.has(database)) {
      this.logger.warn(describeUnfinished(failure));
    }
  }

  private viewsOf(database: Database): ViewDefinition[] {
    return this.definitions
      .all()
      .filter(({ dataSourceName }) => this.dataSources.get(dataSourceName) === database);
  }

  private transaction<T>(database: Database, work: (session: Session) => Promise<T>): Promise<T> {
    const { lockTimeoutMs, statementTimeoutMs } = this.registrations.options;
    return database.transaction({ lockTimeoutMs, statementTimeoutMs }, work);
  }
}

function explained(error: unknown): string {
  const said = withoutRowData(error);
  return errorCode(error) === SqlState.insufficientPrivilege ? `${said} (${OWNERSHIP_HINT})` : said;
}
