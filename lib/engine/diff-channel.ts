import { tracingChannel } from 'node:diagnostics_channel';
import { MaterializedViewChannels } from '../definition/materialized-view.channels.js';
import type { SchemaDifference } from '../schema/schema-difference.js';

/** What subscribers of the comparisons' tracing channel receive. Node adds `result` or `error` at the end. */
export interface DiffTrace {
  dataSource: string;
  result?: SchemaDifference[];
  error?: unknown;
}

/** Referenced here, because Node keeps only a weak reference to a channel and may lose its subscribers. */
export const diffChannel = tracingChannel<DiffTrace, DiffTrace>(MaterializedViewChannels.diff);
