import type { RefreshPreconditionRow } from '../../postgres/refresh.sql.js';
import type { RequestedMode } from '../refresh-request.js';
import type { RefreshMode, RefreshModeReason } from '../refresh-result.js';
import { blocking } from './blocking.js';
import { concurrently } from './concurrently.js';
import type { Mode } from './mode.js';
import { swap } from './swap.js';

/** The first mode that accepts a refresh runs it. `blocking`, the last, accepts all. */
const MODES: readonly Mode[] = [swap, concurrently, blocking];

export interface ChosenMode {
  mode: RefreshMode;
  modeReason: RefreshModeReason;
}

/** Concurrently if PostgreSQL can, because that doesn't block readers, unless another mode is requested. */
export function chooseMode(
  conditions: Pick<RefreshPreconditionRow, 'is_populated' | 'has_usable_unique_index'>,
  requested: RequestedMode,
): ChosenMode {
  const [chosen] = MODES.flatMap(({ name: mode, accepts }) => {
    const modeReason = accepts(conditions, requested);
    return modeReason === undefined ? [] : [{ mode, modeReason }];
  });
  return chosen ?? { mode: 'blocking', modeReason: 'requested' };
}

/** The mode that `chooseMode` named. */
export function modeNamed(name: RefreshMode): Mode {
  return MODES.find((mode) => mode.name === name) ?? blocking;
}
