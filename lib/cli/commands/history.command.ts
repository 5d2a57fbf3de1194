import { Command } from 'commander';
import type { ViewHistoryEntry } from '../../status/refresh-history.js';
import type { Cli, CliCommand, CommandResult } from '../cli-command.js';
import { shownDuration, shownInstant } from '../../definition/format.js';
import { wholeNumber } from './flag-values.js';
import { inSchemaOf, type SchemaFlag, schemaOption } from '../schema-option.js';

const DEFAULT_LIMIT = 20;
const HEAD = ['STARTED', 'VIEW', 'TRIGGER', 'OUTCOME', 'MODE', 'TOOK', 'ERROR'];

/** The last runs. */
export const historyCommand: CliCommand = {
  define: () =>
    new Command('history')
      .description('the last runs, newest first')
      .argument('[view]', 'schema.name; all if none is given')
      .addOption(schemaOption())
      .option('--limit <count>', 'the maximum number of runs', wholeNumber, DEFAULT_LIMIT),

  async run(
    cli: Cli,
    given: readonly string[],
    { limit, ...flags }: SchemaFlag & { limit: number },
  ): Promise<CommandResult> {
    const [name] = inSchemaOf(given, flags);
    const { refreshes } = await cli.open();
    const which = name === undefined ? { schema: flags.schema } : { views: [name] };
    const runs = await refreshes.historyAll({ ...which, limit });
    const text =
      runs.length === 0 ? 'No runs are in the history.' : cli.output.table(HEAD, runs.map(row));
    return { json: { runs }, text };
  },
};

function row(entry: ViewHistoryEntry): string[] {
  return [
    shownInstant(entry.startedAt),
    entry.view,
    entry.trigger,
    entry.outcome,
    entry.mode ?? '',
    shownDuration(entry.durationMs),
    entry.errorCode ?? '',
  ];
}
