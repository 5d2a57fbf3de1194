import type { EntityTarget, ObjectLiteral, QueryRunner } from 'typeorm';
import { type DeclaredView, declaredView } from '../definition/declared-view.js';
import type { DataSourceSelector, ViewSelector } from '../definition/data-source-selector.js';
import { checkOptions, dataSourceOptions, viewOptions } from '../definition/option-rules.js';
import type { ViewClass } from '../definition/view-class.js';
import type { ViewTarget } from '../definition/view.registry.js';
import type { InspectedView } from '../introspection/inspected-view.js';
import type { MigrationFile, MigrationOptions } from '../schema/migration-writer.js';
import {
  alterTableOptions,
  type AlterTableServiceOptions,
  aPlan,
  dataSourceOf,
  migrationOptions,
  planOptions,
  type PlanOptions,
} from '../schema/schema-options.js';
import type { Schema } from '../schema/schema.js';
import type { SchemaDifference } from '../schema/schema-difference.js';
import type { SchemaPlan } from '../schema/schema-plan.js';
import type { SyncReport } from '../schema/sync-report.js';
import { diffChannel } from './diff-channel.js';
import type { SchemasChange } from './schemas.watch.js';
import type { ManagedDataSources } from './managed-data-sources.js';
import {
  answerTimeoutMs,
  type DeclaredQuery,
  declaredQuery,
  type InspectQuery,
  inspectQuery,
} from './status-queries.js';

/** Compares the database with the code, and changes it. */
export class SchemaService {
  constructor(private readonly sources: ManagedDataSources) {}

  /**
   * Lists the differences between code and database. To compare definitions, it locks views that differ for some
   * milliseconds.
   */
  async diff(options: PlanOptions = {}): Promise<SchemaDifference[]> {
    checkOptions('SchemaService.diff', planOptions, options);
    const { name, schema } = this.sources.get(dataSourceOf(options));
    return diffChannel.tracePromise(() => schema.diff(options), { dataSource: name });
  }

  /**
   * Returns the steps that would bring the database in line with the code, whatever the policy at boot is.
   *
   * @throws UnmanagedDependentsError if something that the library doesn't manage is in the way
   * @throws SchemaSyncError if a declared query fails
   */
  async plan(options: PlanOptions = {}): Promise<SchemaPlan> {
    checkOptions('SchemaService.plan', planOptions, options);
    return this.schemaOf(options).plan(options);
  }

  /**
   * Carries out a plan in one transaction: all of it or nothing.
   *
   * @throws PlanOutdatedError if the database or the code has changed since the plan was made
   */
  async apply(plan: SchemaPlan): Promise<SyncReport> {
    checkOptions('SchemaService.apply', aPlan, plan);
    return this.schemaOf(plan).apply(plan);
  }

  /**
   * Calls the functions of `schemas` again and creates the views of new schemas, for example after adding a tenant. It
   * creates what a boot of this process would create, and changes or drops nothing. With `synchronize: 'verify'` or
   * `false`, a migration must have created the views. Other processes do the same by themselves within `sweepInterval`.
   *
   * @param view the class whose function is called. Default: all classes
   * @throws UnknownViewError if no such view is registered
   * @throws InvalidDefinitionError if a function fails, or returns anything but names of schemas
   * @throws SchemaSyncError if the views of a schema can't be created, for example because tables are missing; those
   * of other schemas are created all the same
   * @example
   * ```ts
   * await this.tenants.create('tenant_c'); // its schema and its tables
   * await this.schema.sync();
   * ```
   */
  async sync(view?: ViewClass, options: DataSourceSelector = {}): Promise<SchemasChange> {
    checkOptions('SchemaService.sync', dataSourceOptions, options);
    const changes: SchemasChange[] = [];
    for (const { schemas } of this.sources.declaring(view, options.dataSource)) {
      changes.push(await schemas.sync(view));
    }
    return {
      added: changes.flatMap(({ added }) => added),
      removed: changes.flatMap(({ removed }) => removed),
    };
  }

  /** @throws SchemaDriftError naming all differences, if there are any. Orphans don't count */
  async verify(options: DataSourceSelector = {}): Promise<void> {
    checkOptions('SchemaService.verify', dataSourceOptions, options);
    await this.schemaOf(options).verify();
  }

  /**
   * Writes a TypeORM migration that brings the database in line with the code. Its `down` restores the previous
   * definitions with indexes, grants and comments. Grants, indexes and the like that a view got before it runs are
   * kept, both ways. If something that it replaces is gone or was changed by then, it stops before it changes
   * anything and says what it found.
   *
   * @returns `undefined` if there is nothing to do
   */
  async generateMigration(
    options: MigrationOptions & PlanOptions,
  ): Promise<MigrationFile | undefined> {
    checkOptions('SchemaService.generateMigration', migrationOptions, options);
    return this.schemaOf(options).generateMigration(options);
  }

  /**
   * Changes a table in a way that PostgreSQL forbids while views read it. In a migration, use the function
   * `alterTable` with its query runner.
   *
   * @param work runs in that transaction, on a query runner of the application's own pool
   */
  async alterTable<T>(
    table: EntityTarget<ObjectLiteral>,
    work: (queryRunner: QueryRunner) => Promise<T>,
    options: AlterTableServiceOptions = {},
  ): Promise<T> {
    checkOptions('SchemaService.alterTable', alterTableOptions, options);
    return this.schemaOf(options).alterTable(table, work, options);
  }

  /**
   * Drops one view and its state, but not its history. The next boot creates it again if a class still declares it.
   *
   * @throws SchemaSyncError if anything depends on it, declared views included, or another application holds it
   */
  async drop(view: ViewTarget, options: ViewSelector = {}): Promise<void> {
    checkOptions('SchemaService.drop', viewOptions, options);
    const { source, view: found } = this.sources.find(view, options);
    await source.schema.drop(found);
  }

  /**
   * Drops all declared views of a data source, but not their history. Views that another application holds stay, with
   * a warning.
   *
   * @throws SchemaSyncError if anything else depends on them
   */
  async dropAll(options: DataSourceSelector = {}): Promise<void> {
    checkOptions('SchemaService.dropAll', dataSourceOptions, options);
    await this.schemaOf(options).dropAll();
  }

  /** Lists the declared views, as `schema.name`. */
  registered(options: DataSourceSelector = {}): string[] {
    checkOptions('SchemaService.registered', dataSourceOptions, options);
    return this.schemaOf(options).registered();
  }

  /**
   * Returns how the registered materialized views are refreshed according to their classes. It doesn't use the
   * database.
   *
   * @throws UnknownViewError if the data source has no views, or one of `views` is not registered
   * @throws InvalidOptionsError if an option is unknown or has a wrong value
   */
  declared(options: DeclaredQuery = {}): DeclaredView[] {
    checkOptions('SchemaService.declared', declaredQuery, options);
    const { views, tickCount = 0 } = options;
    return this.sources
      .materialized(options, views)
      .map(({ source, view }) => declaredView(view, { dataSource: source.name, tickCount }));
  }

  /**
   * Returns the definition of a view in the database, as PostgreSQL prints it; `undefined` if there is no such view.
   */
  async definition(view: ViewTarget, options: ViewSelector = {}): Promise<string | undefined> {
    checkOptions('SchemaService.definition', viewOptions, options);
    const { source, view: found } = this.sources.find(view, options);
    return source.schema.definition(found);
  }

  /** Lists the views that a view reads directly, according to the catalog. */
  async dependencies(view: ViewTarget, options: ViewSelector = {}): Promise<string[]> {
    checkOptions('SchemaService.dependencies', viewOptions, options);
    const { source, view: found } = this.sources.find(view, options);
    return source.schema.dependencies(found);
  }

  /** Lists the views that read a view directly, according to the catalog, including undeclared ones. */
  async dependents(view: ViewTarget, options: ViewSelector = {}): Promise<string[]> {
    checkOptions('SchemaService.dependents', viewOptions, options);
    const { source, view: found } = this.sources.find(view, options);
    return source.schema.dependents(found);
  }

  /** Lists the declared views in the database, each after the views that it reads. */
  async order(options: DataSourceSelector = {}): Promise<string[]> {
    checkOptions('SchemaService.order', dataSourceOptions, options);
    return this.schemaOf(options).order();
  }

  /**
   * Lists all views of the database, or of one schema, from the catalog: declared or not, materialized or plain,
   * except those of extensions. Each comes after the views that it reads. It runs the same few statements for any
   * number of views, waits for no refresh, and reads no rows.
   *
   * @throws UnknownViewError if no view is registered in `dataSource`
   * @throws InvalidOptionsError if an option is unknown or has a wrong value
   * @throws StatusError if the catalog can't be read within `timeout` (default 5 s)
   * @example
   * ```ts
   * const views = await this.schema.inspect({ schema: 'analytics' });
   * const unused = views.flatMap(({ indexes }) => indexes.filter(({ scanCount }) => scanCount === 0));
   * ```
   */
  async inspect(options: InspectQuery = {}): Promise<InspectedView[]> {
    checkOptions('SchemaService.inspect', inspectQuery, options);
    const { catalog } = this.sources.get(dataSourceOf(options));
    return catalog.inspect(options.schema, answerTimeoutMs(options));
  }

  private schemaOf(options: DataSourceSelector): Schema {
    return this.sources.get(dataSourceOf(options)).schema;
  }
}
