import { Inject, Injectable } from '@nestjs/common';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import { type Duration, milliseconds } from '../definition/duration.js';
import { aDuration, checkOptions, objectOf } from '../definition/option-rules.js';
import type { ViewTarget } from '../definition/view.registry.js';
import { RefreshService } from '../engine/refresh.service.js';
import { StatusError } from '../errors/status.errors.js';
import type { ViewStatus } from '../status/view-status.js';
import { judge, type ViewHealth } from './view-health.js';

export interface FreshnessOptions {
  /** Their classes, or `schema.name`. @default all */
  views?: readonly ViewTarget[];
  /** A view older than this is up with a warning. @default none */
  warnAfter?: Duration;
  /**
   * A view older than this is down.
   * @default the view's own limit: `refresh.maxStaleness`, or two ticks of its schedule
   */
  errorAfter?: Duration;
  /** How long the check waits for the database. @default '1s' */
  timeout?: Duration;
}

const TIMEOUT = '1s';
/** A load balancer's probes come from several places at the same time. */
const MAX_AGE = '1s';

const freshnessOptions = objectOf<FreshnessOptions>({
  views: () => undefined,
  warnAfter: aDuration(0),
  errorAfter: aDuration(0),
  timeout: aDuration(1),
});

/**
 * Tells @nestjs/terminus whether views are fresh. Use it for readiness or a separate health page, never for liveness:
 * a restart doesn't make a view fresh.
 */
@Injectable()
export class MaterializedViewsHealthIndicator {
  constructor(
    @Inject(HealthIndicatorService) private readonly indicators: HealthIndicatorService,
    @Inject(RefreshService) private readonly refreshes: RefreshService,
  ) {}

  /**
   * `up` if all views are fresh; `up` with `warnings` if a view is older than `warnAfter`, is paused or blocked, or
   * its last refresh failed; `down` if a view is too old, empty or missing, or the database doesn't answer within
   * `timeout`.
   *
   * @param key the name of the check in the answer
   * @throws InvalidOptionsError if an option is unknown or has a wrong value
   * @throws UnknownViewError if a view is not registered
   */
  async isFresh<Key extends string>(
    key: Key,
    options: FreshnessOptions = {},
  ): Promise<HealthIndicatorResult<Key>> {
    checkOptions('MaterializedViewsHealthIndicator.isFresh', freshnessOptions, options);
    const { views, timeout = TIMEOUT } = options;
    const check = this.indicators.check(key);
    let statuses: ViewStatus[];
    try {
      statuses = await this.refreshes.statusAll({ views, timeout, maxAge: MAX_AGE });
    } catch (error) {
      if (!(error instanceof StatusError)) {
        throw error;
      }
      return check.down({ message: error.message });
    }
    return this.answer(check, statuses, options);
  }

  private answer<Key extends string>(
    check: ReturnType<HealthIndicatorService['check']>,
    statuses: readonly ViewStatus[],
    { warnAfter, errorAfter }: FreshnessOptions,
  ): HealthIndicatorResult<Key> {
    const limits = {
      warnAfterMs: warnAfter === undefined ? undefined : milliseconds(warnAfter),
      errorAfterMs: errorAfter === undefined ? undefined : milliseconds(errorAfter),
    };
    const judged = statuses.map((status) => ({ name: status.view, ...judge(status, limits) }));
    const views: Record<string, ViewHealth> = Object.fromEntries(
      judged.map(({ name, health }) => [name, health]),
    );
    const warnings = judged.flatMap(({ name, health }) =>
      health.problems.map((problem) => `"${name}" ${problem}`),
    );
    if (judged.some(({ isDown }) => isDown)) {
      return check.down({ message: warnings.join('; '), views });
    }
    const result = warnings.length > 0 ? check.up({ warnings, views }) : check.up({ views });
    return result;
  }
}
