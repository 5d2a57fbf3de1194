import type { PoolConfig } from 'pg';
import type { DataSource } from 'typeorm';
import type { DataSourceContext, EventSink, Log } from '../definition/data-source.context.js';
import { describeBrokenPipeline, describeEngine } from './engine-warning.js';
import { LockWatch } from '../definition/lock.watch.js';
import type { ViewClass } from '../definition/view-class.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { type DeclaredBefore, exploreViews } from '../definition/view.explorer.js';
import { hasSchemaFunctions, viewClasses } from '../definition/view-classes.js';
import { ViewRegistry } from '../definition/view.registry.js';
import type { ResolvedOptions } from '../definition/module.options.js';
import { CatalogInspector } from '../introspection/catalog.inspector.js';
import { messageOf } from '../errors/error-message.js';
import { schemaErrorFrom } from '../schema/schema-error.js';
import { RareWarning } from '../schedule/rare-warning.js';
import { Database } from '../postgres/database.js';
import { Refresher } from '../refresh/refresher.js';
import { ViewInspector } from '../status/view-inspector.js';
import { Schedule } from '../schedule/schedule.js';
import type { StartJob } from '../schedule/schedule.orchestrator.js';
import { Schema } from '../schema/schema.js';
import { Tracking } from '../tracking/tracking.js';
import { SharedStatus } from './shared-status.js';
import { EntityChecks } from './entity-checks.js';
import { SchemasWatch } from './schemas.watch.js';

export interface ManagedDataSourceOptions {
  name: string;
  /** Initialised, and for PostgreSQL. */
  typeOrm: DataSource;
  options: ResolvedOptions;
  log: Log;
  events: EventSink;
  /** The registered classes among its entities. @default none */
  registered?: readonly ViewClass[];
  /** What wakes the process at scheduled times. */
  startJob: StartJob;
  /** The views that the same application declares in its other data sources. @default none */
  viewsElsewhere?: () => readonly ViewDefinition[];
}

/**
 * One data source with its materialized views, and everything that the library does there. It needs
 * no Nest.
 *
 * Its states: opened -> booted -> started -> stopped. Reading the status needs only the first.
 */
export class ManagedDataSource implements DataSourceContext {
  readonly name: string;
  readonly typeOrm: DataSource;
  readonly options: ResolvedOptions;
  readonly application: string;
  readonly log: Log;
  readonly events: EventSink;
  readonly database: Database;
  readonly views = new ViewRegistry();
  readonly viewsElsewhere: () => readonly ViewDefinition[];
  readonly locks: LockWatch;
  readonly tracking: Tracking;
  readonly schema: Schema;
  readonly refresher: Refresher;
  readonly inspector: ViewInspector;
  readonly sharedStatus: SharedStatus;
  readonly catalog: CatalogInspector;
  /** Once it is open. */
  schemas!: SchemasWatch;
  private readonly schedule: Schedule;
  private isStarted = false;

  private constructor(given: ManagedDataSourceOptions) {
    const { name, typeOrm, options, log, events, viewsElsewhere = () => [], startJob } = given;
    this.name = name;
    this.typeOrm = typeOrm;
    this.options = options;
    this.application = options.application ?? connectionOf(typeOrm).application_name?.trim() ?? '';
    this.log = log;
    this.events = events;
    this.viewsElsewhere = viewsElsewhere;
    this.database = openDatabase(typeOrm, options, log);
    this.locks = new LockWatch(this);
    this.tracking = new Tracking(this);
    this.schema = new Schema(this, this.tracking.captures);
    this.refresher = new Refresher(this, this.tracking);
    this.inspector = new ViewInspector(this);
    this.sharedStatus = new SharedStatus(name, (timeoutMs) => this.inspector.statusAll(timeoutMs));
    this.catalog = new CatalogInspector(this);
    this.schedule = new Schedule(this, this.refresher.runner, this.tracking.changeLog, startJob);
  }

  /**
   * Opens the library's own access to a data source, and finds the views among its entities. Nothing is changed in the
   * database.
   *
   * @throws InvalidDefinitionError if a definition is wrong in a way that only the data source shows
   */
  static async open(options: ManagedDataSourceOptions): Promise<ManagedDataSource> {
    const source = new ManagedDataSource(options);
    try {
      await source.explore(options.registered ?? []);
      return source;
    } catch (error) {
      await source.database.close();
      throw schemaErrorFrom(error);
    }
  }

  /** Makes the database match the code, as far as the option `synchronize` allows. */
  async boot(): Promise<void> {
    await this.schema.boot();
  }

  /** Starts refreshing views at their scheduled times and after writes, unless `scheduling` is off. */
  start(): void {
    this.isStarted = true;
    this.startSchedule();
    this.schemas.start();
  }

  /** Ends all running work within `shutdownTimeout`, and closes the library's own connections. */
  async stop(): Promise<void> {
    this.isStarted = false;
    await this.schemas.stop();
    await this.schedule.stop();
    // Repairs share the refreshes' pool, which rejects them from now on.
    await Promise.all([this.tracking.captures.stop(), this.refresher.stop()]);
    await Promise.all([
      this.refresher.history.stop(),
      this.tracking.changeLog.stop(),
      this.locks.stop(),
      this.schedule.untilReleased(),
    ]);
    await this.database.close();
  }

  private startSchedule(): void {
    if (this.options.scheduling && this.isStarted) {
      this.schedule.start();
    }
  }

  private async explore(registered: readonly ViewClass[]): Promise<void> {
    const { currentSchema, engine, hasSecurityInvoker, isPipelined } =
      await this.database.serverInfo();
    if (engine !== undefined) {
      this.log.warn(describeEngine(this.name, engine));
    }
    if (!isPipelined) {
      this.log.warn(describeBrokenPipeline(this.name));
    }
    const checks = new EntityChecks(this.typeOrm, this.log, { hasSecurityInvoker });
    const explored = { dataSource: this.typeOrm, currentSchema, registered };
    const explore = async (before?: DeclaredBefore): Promise<ViewDefinition[]> => {
      const views = await exploreViews(explored, before);
      checks.check(views);
      return views;
    };
    this.views.set(await explore());
    this.schemas = new SchemasWatch({
      context: this,
      schema: this.schema,
      hasFunctions: hasSchemaFunctions(viewClasses(this.typeOrm, registered)),
      explore: (only) => explore({ views: this.views.all(), only }),
      onChange: () => {
        this.startSchedule();
      },
    });
  }
}

function openDatabase(
  dataSource: DataSource,
  { poolSize, stateSchema }: ResolvedOptions,
  log: Log,
): Database {
  const lost = new RareWarning(log);
  return new Database({
    connection: connectionOf(dataSource),
    poolSize,
    stateSchema,
    onConnectionError: (error) => {
      lost.warn(`An idle connection was lost; the next refresh opens another: ${messageOf(error)}`);
    },
  });
}

/** The pool that TypeORM's driver opened shows how the application itself connects to the primary. */
function connectionOf(dataSource: DataSource): PoolConfig {
  const { master } = dataSource.driver as unknown as { master: { options: PoolConfig } };
  return master.options;
}
