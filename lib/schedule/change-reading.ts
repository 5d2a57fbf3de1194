import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { isToldAll } from '../freshness/capture-record.js';
import type { UnseenChanges } from '../freshness/write-policy.js';
import { displayName, rowName } from '../postgres/identifier.js';
import { type PendingViewRow, selectPendingViews } from '../postgres/pending.sql.js';

/** Which changes a view has not seen. */
export interface PendingView {
  definition: ViewDefinition;
  unseen: UnseenChanges;
  /** Whether every write to what it reads leaves a row in the log. */
  isCaptured: boolean;
  /** Whether it can be known if a refresh would give other rows: only then can its changes be relied on. */
  isWatched: boolean;
  /** The start of the refresh that brought its rows, in milliseconds since the epoch; `null` where there was none. */
  rowsSince: number | null;
}

/** What one look at the views has found. */
export interface ChangesRead {
  /** All that exist and that nobody has paused, and that do not back off. */
  views: PendingView[];
  /** For how long the server has looked, in milliseconds. */
  tookMs: number;
}

/** Reads which changes the views of one data source have not seen, in one statement for all of them. */
export class ChangeReading {
  constructor(
    private readonly context: Pick<DataSourceContext, 'database'>,
    private readonly definitions: readonly ViewDefinition[],
  ) {}

  async read(): Promise<ChangesRead> {
    const { database } = this.context;
    const byName = new Map(this.definitions.map((view) => [displayName(view.name), view]));
    return database.bookkeeping(async (session) => {
      const names = this.definitions.map(({ name }) => name);
      const rows = await session.query<PendingViewRow>(
        selectPendingViews(database.stateSchema, names),
      );
      const views = rows.flatMap((row) => {
        const definition = byName.get(rowName(row));
        return definition === undefined ? [] : [changesOf(definition, row)];
      });
      return { views, tookMs: Math.max(0, ...rows.map((row) => row.took_ms)) };
    });
  }
}

function changesOf(definition: ViewDefinition, row: PendingViewRow): PendingView {
  return {
    definition,
    unseen: {
      now: row.now,
      since: row.pending_since,
      lastAt: row.last_change_at,
      isAltered: !row.has_watermark || row.is_altered,
      isEmpty: !row.is_populated,
    },
    isCaptured: row.is_captured,
    isWatched:
      row.is_watched &&
      definition.freshness?.readsSources === true &&
      isToldAll(definition, row.capture),
    rowsSince: row.has_watermark ? row.last_started_at : null,
  };
}
