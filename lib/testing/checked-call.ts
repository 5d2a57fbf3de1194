import type { ViewTarget } from '../definition/view.registry.js';
import { checkCallOptions, type RefreshServiceMethod } from '../engine/refresh-service.options.js';

/** A call of a method of `RefreshService`. */
export interface Call {
  method: RefreshServiceMethod;
  views: readonly ViewTarget[];
  options: object;
}

/**
 * Checks the options as the method itself does, except for `manager`: in a test without a database it has no transaction,
 * or is a stand-in.
 *
 * @throws InvalidOptionsError
 */
export function checkCall({ method, options }: Call): void {
  const hasManager = (options as { manager?: unknown } | null)?.manager !== undefined;
  const checked = hasManager ? { ...options, manager: undefined } : options;
  checkCallOptions(method, checked);
}
