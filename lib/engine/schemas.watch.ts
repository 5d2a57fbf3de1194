import { Mutex } from 'async-mutex';
import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewClass } from '../definition/view-class.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { messageOf } from '../errors/error-message.js';
import { isDoneWithin } from '../postgres/time-limit.js';
import { RareWarning } from '../schedule/rare-warning.js';
import { nextSweepInMs } from '../schedule/sweeper.js';
import { schemaErrorFrom } from '../schema/schema-error.js';
import type { Schema } from '../schema/schema.js';

/** How long a stopping application waits for views that are being created. */
const STOP_TIMEOUT_MS = 2_000;

/** Which views this process gained and lost when it read the `schemas` of its classes again. */
export interface SchemasChange {
  /** As `schema.name`. */
  added: string[];
  /** As `schema.name`. They stay in the database, and a boot reports them like any other undeclared view. */
  removed: string[];
}

export interface SchemasWatchOptions {
  context: DataSourceContext;
  schema: Pick<Schema, 'bootAdded' | 'leave'>;
  /** Whether a class has a function for its schemas. */
  hasFunctions: boolean;
  /** What the code declares now. Unchanged definitions are the same objects as before. */
  explore: (only?: ViewClass) => Promise<ViewDefinition[]>;
  /** Called when the views have changed. */
  onChange: () => void;
}

/**
 * Calls the functions of `schemas` again, so that all processes learn of a schema that one of them has added.
 */
export class SchemasWatch {
  private readonly mutex = new Mutex();
  private readonly rareWarning: RareWarning;
  private timer?: NodeJS.Timeout;
  private isStopped = false;

  constructor(private readonly options: SchemasWatchOptions) {
    this.rareWarning = new RareWarning(options.context.log);
  }

  start(): void {
    if (this.options.hasFunctions) {
      this.askLater();
    }
  }

  /** Stops calling them. */
  async stop(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.timer);
    await isDoneWithin(this.mutex.waitForUnlock(), STOP_TIMEOUT_MS);
  }

  /**
   * Calls them now, and creates the views of new schemas. A failure in one schema doesn't affect the others.
   *
   * @param only the class whose function is called. Default: all of them
   * @throws SchemaSyncError if the views of a schema can't be created: that schema is tried again
   */
  sync(only?: ViewClass): Promise<SchemasChange> {
    return this.mutex.runExclusive(() => this.follow(only));
  }

  private askLater(): void {
    this.timer = setTimeout(() => {
      void this.ask();
    }, nextSweepInMs(this.options.context)).unref();
  }

  private async ask(): Promise<void> {
    const { name } = this.options.context;
    try {
      await this.sync();
    } catch (error) {
      if (!this.isStopped) {
        this.rareWarning.warn(
          `Could not follow the \`schemas\` of the views of data source "${name}"; they are read again within \`sweepInterval\`: ${messageOf(error)}`,
        );
      }
    }
    if (!this.isStopped) {
      this.askLater();
    }
  }

  private async follow(only: ViewClass | undefined): Promise<SchemasChange> {
    const { views } = this.options.context;
    const before = new Set(views.all());
    const declared = new Set(await this.options.explore(only));
    const added = [...declared].filter((view) => !before.has(view));
    const removed = [...before].filter((view) => !declared.has(view));
    if (added.length === 0 && removed.length === 0) {
      return { added: [], removed: [] };
    }
    const { failed, errors } = await this.make(added);
    const gone = await this.leave(removed, errors);
    const made = added.filter((view) => !failed.has(view));
    views.set([...declared, ...removed].filter((view) => !failed.has(view) && !gone.has(view)));
    this.options.onChange();
    if (errors.length > 0) {
      throw schemaErrorFrom(errors[0]);
    }
    return { added: made.map(viewName), removed: [...gone].map(viewName) };
  }

  /** All of them or, where the database cannot be told, none: they go the next time. */
  private async leave(
    removed: readonly ViewDefinition[],
    errors: unknown[],
  ): Promise<ReadonlySet<ViewDefinition>> {
    try {
      await this.options.schema.leave(removed);
      return new Set(removed);
    } catch (error) {
      errors.push(error);
      return new Set();
    }
  }

  /** Schema by schema: the views of one may read each other, and those of others need not wait for one that fails. */
  private async make(
    added: readonly ViewDefinition[],
  ): Promise<{ failed: Set<ViewDefinition>; errors: unknown[] }> {
    const failed = new Set<ViewDefinition>();
    const errors: unknown[] = [];
    for (const schema of new Set(added.map(({ name }) => name.schema))) {
      const own = added.filter(({ name }) => name.schema === schema);
      try {
        await this.options.schema.bootAdded(own);
      } catch (error) {
        own.forEach((view) => failed.add(view));
        errors.push(error);
      }
    }
    return { failed, errors };
  }
}
