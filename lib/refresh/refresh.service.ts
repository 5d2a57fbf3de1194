import { Inject, Injectable } from '@nestjs/common';
import { inspect } from 'node:util';
import { DefinitionRegistry, type ViewTarget } from '../definition/definition.registry.js';
import { RefreshError } from '../errors/refresh.errors.js';
import { demandRequest } from './refresh-request.js';
import type { RefreshResult } from './refresh-result.js';
import { RefreshRunner } from './refresh.runner.js';
import type { DataDrift } from './data-drift.js';
import type { RefreshHistoryEntry } from './refresh-history.js';
import type { ViewRefreshStatus } from './refresh-status.js';
import {
  type DriftQuery,
  type HistoryQuery,
  type StatusAllQuery,
  type StatusQuery,
  ViewInspector,
} from './view-inspector.js';

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

/** Refreshes views on demand, and tells how they stand. */
@Injectable()
export class RefreshService {
  constructor(
    @Inject(DefinitionRegistry) private readonly definitions: DefinitionRegistry,
    @Inject(RefreshRunner) private readonly runner: RefreshRunner,
    @Inject(ViewInspector) private readonly inspector: ViewInspector,
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

  /**
   * The last runs of a view, in all processes, newest first. Runs that were skipped are not among them.
   *
   * @param view its class, or `schema.name`
   * @throws UnknownViewError when no such view is registered
   * @throws StatusError when the history cannot be read
   */
  async history(view: ViewTarget, options: HistoryQuery = {}): Promise<RefreshHistoryEntry[]> {
    return this.inspector.history(view, options);
  }

  /**
   * How a view stands: its age, its last success and failure, and whether somebody is at it now. It
   * waits for no refresh. A view that is not in the database has a status too.
   *
   * @param view its class, or `schema.name`
   * @throws UnknownViewError when no such view is registered
   * @throws StatusError when it cannot be read
   */
  async status(view: ViewTarget, options: StatusQuery = {}): Promise<ViewRefreshStatus> {
    return this.inspector.status(view, options);
  }

  /**
   * The status of all registered views. However many there are, it takes the same few statements for
   * each data source.
   *
   * @throws StatusError when a data source has no views, or their status cannot be read
   */
  async statusAll(options: StatusAllQuery = {}): Promise<ViewRefreshStatus[]> {
    return this.inspector.statusAll(options);
  }

  /**
   * Compares the rows of a view with what its query gives now, in one snapshot. That costs about as much
   * as a refresh, and for as long takes one of the `poolSize` connections and holds up a blocking refresh.
   *
   * @param view its class, or `schema.name`
   * @throws UnknownViewError when no such view is registered
   * @throws ViewMissingError when the database has no such view
   * @throws ViewNotPopulatedError when it has no rows to compare
   * @throws StatusError when the comparison fails, or takes longer than `statementTimeout`
   */
  async drift(view: ViewTarget, options: DriftQuery = {}): Promise<DataDrift> {
    return this.inspector.drift(view, options);
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
