import type { RefreshPreconditionRow } from '../postgres/refresh.sql.js';
import type { RefreshMode, RefreshModeReason, SkipReason } from './refresh-result.js';

export interface ChosenMode {
  mode: RefreshMode;
  modeReason: RefreshModeReason;
}

/** Concurrently wherever PostgreSQL can: it stops no reader. */
export function chooseMode(conditions: RefreshPreconditionRow): ChosenMode {
  if (!conditions.is_populated) {
    return { mode: 'blocking', modeReason: 'unpopulated' };
  }
  return conditions.has_usable_unique_index
    ? { mode: 'concurrently', modeReason: 'unique_index' }
    : { mode: 'blocking', modeReason: 'no_unique_index' };
}

/** Why a tick is not to be done; `undefined` when it is. */
export function tickSkipReason(conditions: RefreshPreconditionRow): SkipReason | undefined {
  if (conditions.is_tick_done) {
    return 'tick_done';
  }
  if (conditions.is_tick_early) {
    return 'tick_early';
  }
  return conditions.is_backing_off ? 'backing_off' : undefined;
}
