import type { MaterializedViewEntityOptions } from './materialized-view-entity.options.js';

/** Global symbols: the library may be loaded twice, as an ES module and as CommonJS. */
const OPTIONS = Symbol.for('nestjs-materialized-views:options');
const DECLARED_NAMES = Symbol.for('nestjs-materialized-views:declared-names');

/** Where @nestjs/schedule's `@Cron` keeps what it was given (its `schedule.constants`). */
const CRON_OPTIONS = 'SCHEDULE_CRON_OPTIONS';

/** The options given to `@MaterializedViewEntity`, or `undefined` when the class does not have it itself. */
export function getViewOptions(target: object): MaterializedViewEntityOptions | undefined {
  return Reflect.getOwnMetadata(OPTIONS, target) as MaterializedViewEntityOptions | undefined;
}

/** Keeps the options of `@MaterializedViewEntity` on the class. */
export function setViewOptions(target: object, options: MaterializedViewEntityOptions): void {
  Reflect.defineMetadata(OPTIONS, options, target);
}

/** A view's schedule, as `@Cron` of @nestjs/schedule recorded it on the class. */
export interface CronMetadata {
  cronTime: string;
  timeZone: string;
}

export function getCronMetadata(target: object): CronMetadata | undefined {
  return Reflect.getOwnMetadata(CRON_OPTIONS, target) as CronMetadata | undefined;
}

/** Which class declared an explicit name, for all classes of the process. */
export function declaredNames(): Map<string, string> {
  const holder = globalThis as { [DECLARED_NAMES]?: Map<string, string> };
  return (holder[DECLARED_NAMES] ??= new Map<string, string>());
}
