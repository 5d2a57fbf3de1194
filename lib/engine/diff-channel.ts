import { tracingChannel } from 'node:diagnostics_channel';
import type { SchemaDifference } from '../schema/schema-difference.js';

/** What a subscriber of the tracing channel of comparisons gets: Node adds `result` or `error` when it is over. */
export interface DiffTrace {
  dataSource: string;
  result?: SchemaDifference[];
  error?: unknown;
}

/** The name of the tracing channel in node:diagnostics_channel on which each `SchemaService.diff` is traced. */
export const DIFF_CHANNEL = 'nestjs-materialized-views.diff';

/** Held here: Node keeps a channel that nobody holds by a weak reference, and may lose its subscribers. */
export const diffChannel = tracingChannel<DiffTrace, DiffTrace>(DIFF_CHANNEL);
