import { tracingChannel } from 'node:diagnostics_channel';
import { MaterializedViewChannels } from '../definition/materialized-view.channels.js';
import type { SchemaDifference } from '../schema/schema-difference.js';

/** What a subscriber of the tracing channel of comparisons gets: Node adds `result` or `error` when it is over. */
export interface DiffTrace {
  dataSource: string;
  result?: SchemaDifference[];
  error?: unknown;
}

/** Held here: Node keeps a channel that nobody holds by a weak reference, and may lose its subscribers. */
export const diffChannel = tracingChannel<DiffTrace, DiffTrace>(MaterializedViewChannels.diff);
