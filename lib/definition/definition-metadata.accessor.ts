import type { MaterializedViewEntityOptions } from './materialized-view-entity.options.js';

/** A global symbol: the library may be loaded twice, as an ES module and as CommonJS. */
const OPTIONS = Symbol.for('nestjs-materialized-views:options');

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

/** What `@Cron` recorded on the class, or `undefined` when the class does not have it. */
export function getCronMetadata(target: object): CronMetadata | undefined {
  return Reflect.getOwnMetadata(CRON_OPTIONS, target) as CronMetadata | undefined;
}
