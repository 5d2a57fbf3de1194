import type { INestApplicationContext } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { type Duration, milliseconds } from '../definition/duration.js';
import type { ViewSelector } from '../definition/data-source-selector.js';
import { aDuration, checkOptions, objectOf, viewOptions } from '../definition/option-rules.js';
import { viewName } from '../definition/view-definition.js';
import type { ViewTarget } from '../definition/view.registry.js';
import { ManagedDataSources } from '../engine/managed-data-sources.js';
import { RefreshService } from '../engine/refresh.service.js';
import { StatusError } from '../errors/status.errors.js';
import type { ViewStatus } from '../status/view-status.js';

export interface IdleOptions {
  /** How long to wait at most. @default '10s' */
  timeout?: Duration;
}

const idleOptions = objectOf<IdleOptions>({ timeout: aDuration(1) });

/** How often it checks. */
const LOOK_MS = 20;

/**
 * Passes if a view has rows, is not stale, and has seen all changes of the tables that it tracks.
 *
 * @param app the application, or the testing module
 * @throws Error saying what the view lacks
 * @throws UnknownViewError if no such view is registered
 * @throws InvalidOptionsError if an option is unknown or has a wrong value
 */
export async function expectFresh(
  app: INestApplicationContext,
  view: ViewTarget,
  options: ViewSelector = {},
): Promise<void> {
  checkOptions('expectFresh', viewOptions, options);
  const status = await refreshesOf(app).status(view, options);
  const lack = lackOf(status);
  if (lack !== undefined) {
    throw new Error(`Expected materialized view "${status.view}" to be fresh, but ${lack}.`);
  }
}

/**
 * Waits until the views with `refresh.on` have everything that was committed before the call, no view with
 * `maxStaleness` is stale, and no refresh is running. The application must be initialized with `scheduling`. Paused views are ignored.
 *
 * @param app the application, or the testing module
 * @throws InvalidOptionsError if an option is unknown or has a wrong value
 * @throws StatusError if that takes longer than `timeout`; it names the views
 */
export async function untilIdle(
  app: INestApplicationContext,
  options: IdleOptions = {},
): Promise<void> {
  checkOptions('untilIdle', idleOptions, options);
  const { timeout = '10s' } = options;
  const endsAtMs = performance.now() + milliseconds(timeout);
  for (;;) {
    const busy = await busyViews(app);
    if (busy.length === 0) {
      return;
    }
    if (performance.now() > endsAtMs) {
      throw new StatusError(`Views are not idle after ${String(timeout)}: ${busy.join(', ')}.`, {
        hint: 'Look at their status: a view that fails, or that writes what it reads, never becomes idle.',
      });
    }
    await delay(LOOK_MS);
  }
}

async function busyViews(app: INestApplicationContext): Promise<string[]> {
  const followers = new Set(
    app
      .get(ManagedDataSources, { strict: false })
      .all()
      .flatMap(({ name, views }) =>
        views
          .all()
          .filter(({ freshness }) => freshness?.onWrite !== undefined)
          .map((view) => `${name} ${viewName(view)}`),
      ),
  );
  const statuses = await refreshesOf(app).statusAll();
  return statuses
    .filter(
      ({ dataSource, view, isRefreshing, isPaused, isStale, changes }) =>
        isRefreshing ||
        (!isPaused && isStale) ||
        (!isPaused && followers.has(`${dataSource} ${view}`) && changes?.isUnchanged === false),
    )
    .map(({ view }) => view);
}

function lackOf({ exists, isPopulated, isStale, ageMs, changes }: ViewStatus): string | undefined {
  if (!exists) {
    return 'the database has no such view';
  }
  if (!isPopulated) {
    return 'it has no rows: it was created without data, or emptied';
  }
  if (changes?.isUnchanged === false) {
    return 'tables that it tracks have changed since its last refresh';
  }
  return isStale ? `it is stale: its rows are ${ageMs ?? 0} ms old` : undefined;
}

function refreshesOf(app: INestApplicationContext): RefreshService {
  return app.get(RefreshService, { strict: false });
}
