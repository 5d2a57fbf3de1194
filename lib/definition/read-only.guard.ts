import type { DataSource, EntityManager, EntitySubscriberInterface } from 'typeorm';
import { ReadOnlyViewError } from '../errors/usage.errors.js';

/** The methods of an EntityManager that write. A repository's methods call these. */
const WRITE_METHODS = [
  'save',
  'insert',
  'update',
  'updateAll',
  'upsert',
  'delete',
  'deleteAll',
  'remove',
  'softDelete',
  'softRemove',
  'restore',
  'recover',
  'increment',
  'decrement',
  'clear',
] as const;

type Methods = Record<string, ((...args: unknown[]) => unknown) | undefined>;

/**
 * Refuses writes to views before any SQL is sent: through repositories and entity managers,
 * including those of transactions, and, by TypeORM's own events, through query builders and
 * cascades. What escapes both (a query builder with `callListeners(false)`) is refused by
 * PostgreSQL.
 */
export class ReadOnlyGuard {
  private readonly names = new Map<unknown, string>();

  static of(dataSource: DataSource): ReadOnlyGuard {
    const guard = new ReadOnlyGuard(dataSource);
    guard.install();
    return guard;
  }

  private constructor(private readonly dataSource: DataSource) {}

  /** @param name the name of a class's view or views in messages */
  protect(target: unknown, name: string): void {
    this.names.set(target, name);
  }

  private install(): void {
    const { dataSource } = this;
    const createEntityManager = dataSource.createEntityManager.bind(dataSource);
    dataSource.createEntityManager = (queryRunner) => this.guard(createEntityManager(queryRunner));
    this.guard(dataSource.manager);
    dataSource.subscribers.push(this.subscriber());
  }

  private guard(manager: EntityManager): EntityManager {
    const methods = manager as unknown as Methods;
    for (const name of WRITE_METHODS) {
      const write = methods[name];
      if (write !== undefined) {
        methods[name] = (...args) => {
          const refusal = this.refusal(name, args[0]);
          return refusal === undefined ? write.apply(manager, args) : Promise.reject(refusal);
        };
      }
    }
    return manager;
  }

  private subscriber(): EntitySubscriberInterface {
    const refuse = (operation: string) => (event: { metadata: { target: unknown } }) => {
      const refusal = this.refusal(operation, event.metadata.target);
      if (refusal !== undefined) {
        throw refusal;
      }
    };
    return {
      beforeInsert: refuse('insert'),
      beforeUpdate: refuse('update'),
      beforeRemove: refuse('remove'),
      beforeSoftRemove: refuse('softRemove'),
      beforeRecover: refuse('recover'),
    };
  }

  private refusal(operation: string, subject: unknown): ReadOnlyViewError | undefined {
    const subjects = Array.isArray(subject) ? (subject as unknown[]) : [subject];
    const name = subjects.map((each) => this.viewOf(each)).find((each) => each !== undefined);
    return name === undefined
      ? undefined
      : new ReadOnlyViewError(
          `Materialized view "${name}" is read-only: ${operation} was refused.`,
          {
            view: name,
            hint: 'Write to the tables that it reads and refresh it with RefreshService.',
          },
        );
  }

  /** The subject of a write is a class, an entity's name, a schema, or an entity itself. */
  private viewOf(subject: unknown): string | undefined {
    if (typeof subject === 'string' && this.dataSource.hasMetadata(subject)) {
      return this.names.get(this.dataSource.getMetadata(subject).target);
    }
    return this.names.get(subject) ?? this.names.get((subject as object | null)?.constructor);
  }
}
