import { Inject, Injectable } from '@nestjs/common';
import { inspect } from 'node:util';
import { DefinitionRegistry, type ViewTarget } from '../definition/definition.registry.js';
import { RefreshError } from '../errors/refresh.errors.js';
import { demandRequest } from './refresh-request.js';
import type { RefreshResult } from './refresh-result.js';
import { RefreshRunner } from './refresh.runner.js';

export interface RefreshOptions {
  /**
   * What to do when the view is being refreshed already, by whatever process: `skip` returns at once
   * with the outcome `skipped` and the reason `busy`.
   * @default 'skip'
   */
  onBusy?: 'skip';
  /** Needed only for a view that is registered in several data sources. */
  dataSource?: string;
}

/** Refreshes views on demand. */
@Injectable()
export class RefreshService {
  constructor(
    @Inject(DefinitionRegistry) private readonly definitions: DefinitionRegistry,
    @Inject(RefreshRunner) private readonly runner: RefreshRunner,
  ) {}

  /**
   * Refreshes one view, at most once at a time in the whole database, and resolves when the new rows
   * are committed. It runs concurrently with readers when the view is populated and has a usable
   * unique index, and blocks them for its whole run otherwise; the result says which, and why.
   *
   * @param view its class, or `schema.name`
   * @throws UnknownViewError when no such view is registered
   * @throws RefreshError one of its subclasses, when the refresh fails: the rows stay as they were
   * @example
   * ```ts
   * const result = await this.refreshes.refresh(DailyRevenue);
   * if (result.outcome === 'skipped') { ... }
   * ```
   */
  async refresh(view: ViewTarget, options: RefreshOptions = {}): Promise<RefreshResult> {
    const { dataSource } = checked(options);
    return this.runner.run(demandRequest(this.definitions.get(view, dataSource)));
  }
}

/** A value that is not known must not pass for the default. */
function checked(options: RefreshOptions): RefreshOptions {
  if (typeof options !== 'object' || options === null) {
    throw refused('the options', 'an object', options);
  }
  const { onBusy = 'skip', dataSource } = options;
  if (onBusy !== 'skip') {
    throw refused('`onBusy`', "'skip'", onBusy);
  }
  if (dataSource !== undefined && typeof dataSource !== 'string') {
    throw refused('`dataSource`', 'the name of a data source', dataSource);
  }
  return options;
}

function refused(name: string, expected: string, given: unknown): RefreshError {
  return new RefreshError(
    `RefreshService.refresh: expected ${name} to be ${expected}, got ${inspect(given)}.`,
  );
}
