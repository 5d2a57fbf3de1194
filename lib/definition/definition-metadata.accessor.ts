import { InvalidDefinitionError } from '../errors/usage.errors.js';
import { MATERIALIZED, PLAIN, type ViewKind, viewKindOf } from '../postgres/view-kind.js';
import type { MaterializedViewEntityOptions } from './materialized-view-entity.options.js';
import type { PlainViewEntityOptions } from './plain-view-entity.options.js';

/** A global symbol: the library may be loaded twice, as an ES module and as CommonJS. */
const OPTIONS = Symbol.for('nestjs-materialized-views:options');

/** Where @nestjs/schedule's `@Cron` keeps its arguments (its `schedule.constants`). */
const CRON_OPTIONS = 'SCHEDULE_CRON_OPTIONS';

/** pg_class.relkind of what the class is declared as; absent for a materialized view. */
const KIND = Symbol.for('nestjs-materialized-views:kind');

/** The options of either decorator. Those of the other one are absent. */
export type ViewOptions = MaterializedViewEntityOptions & PlainViewEntityOptions;

/**
 * The options given to `@MaterializedViewEntity` or `@PlainViewEntity`; `undefined` if the class itself has
 * neither.
 */
export function getViewOptions(target: object): ViewOptions | undefined {
  return Reflect.getOwnMetadata(OPTIONS, target) as ViewOptions | undefined;
}

/** What a decorated class is declared as. */
export function getViewKind(target: object): ViewKind {
  return viewKindOf(Reflect.getOwnMetadata(KIND, target) as string | undefined) ?? MATERIALIZED;
}

/** Keeps the options of `@MaterializedViewEntity` on the class. */
export function setViewOptions(target: object, options: ViewOptions): void {
  Reflect.defineMetadata(OPTIONS, options, target);
}

/** The same for `@PlainViewEntity`. */
export function setPlainViewOptions(target: object, options: PlainViewEntityOptions): void {
  setViewOptions(target, options);
  Reflect.defineMetadata(KIND, PLAIN.relkind, target);
}

/** A class and its decorator, for messages. */
export function decoratorOf(target: object & { name?: string }): string {
  const decorator = getViewKind(target).storesRows ? 'MaterializedViewEntity' : 'PlainViewEntity';
  return `@${decorator} of ${target.name}`;
}

/**
 * A class decorated twice would get two sets of entity metadata, and TypeORM would use either.
 *
 * @param decorator the name of the second one
 */
export function refuseSecondDecoration(
  target: object & { name?: string },
  decorator: string,
): void {
  if (getViewOptions(target) !== undefined) {
    throw new InvalidDefinitionError(
      `@${decorator} of ${target.name}: expected the class to be decorated once, got a second decorator.`,
    );
  }
}

/** A view's schedule, as `@Cron` of @nestjs/schedule recorded it on the class. */
export interface CronMetadata {
  cronTime: string;
  timeZone: string;
}

/** What `@Cron` recorded on the class; `undefined` if the class doesn't have it. */
export function getCronMetadata(target: object): CronMetadata | undefined {
  return Reflect.getOwnMetadata(CRON_OPTIONS, target) as CronMetadata | undefined;
}
