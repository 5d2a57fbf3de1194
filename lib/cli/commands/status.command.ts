import { Command } from 'commander';
import type { ViewStatus } from '../../status/view-status.js';
import type { Cli, CliCommand, CommandResult } from '../cli-command.js';
import { shownDuration, shownInstant, shownSize } from '../../definition/format.js';
import type { Output } from '../output.js';
import { inSchemaOf, type SchemaFlag, schemaOption } from '../schema-option.js';

const HEAD = ['VIEW', 'STATE', 'AGE', 'LAST SUCCESS', 'TOOK', 'NEXT TICK', 'SIZE'];

/** Shows the status of views. */
export const statusCommand: CliCommand = {
  define: () =>
    new Command('status')
      .description('age, last refresh, next tick and size of each view')
      .argument('[views...]', 'schema.name; all if none is given')
      .addOption(schemaOption()),

  async run(cli: Cli, names: readonly string[], flags: SchemaFlag): Promise<CommandResult> {
    const { refreshes } = await cli.open();
    const views =
      names.length === 0
        ? await refreshes.statusAll({ schema: flags.schema })
        : await Promise.all(inSchemaOf(names, flags).map((name) => refreshes.status(name)));
    const rows = views.map((status) => row(status, cli.output));
    return { json: { views }, text: cli.output.table(HEAD, rows) };
  },
};

function row(status: ViewStatus, output: Output): string[] {
  const { ageMs, lastSuccess, lastDurationMs, nextTick, sizeBytes } = status;
  return [
    status.view,
    state(status, output),
    ageMs === undefined ? '' : shownDuration(ageMs),
    lastSuccess === undefined ? '' : shownInstant(lastSuccess.at),
    lastDurationMs === undefined ? '' : shownDuration(lastDurationMs),
    nextTick === undefined ? '' : shownInstant(nextTick),
    sizeBytes === undefined ? '' : shownSize(sizeBytes),
  ];
}

/** The most important state first. */
function state(status: ViewStatus, output: Output): string {
  if (!status.exists) {
    return output.style('red', 'missing');
  }
  const states = [
    ...(status.lockedBy === undefined ? [] : [output.style('red', 'locked')]),
    ...(status.isRefreshing ? [output.style('cyan', 'refreshing')] : []),
    ...(status.failureCount > 0 ? [output.style('red', `failed ${status.failureCount}x`)] : []),
    ...(status.isPopulated ? [] : [output.style('yellow', 'unpopulated')]),
    ...(status.isPaused ? [output.style('yellow', 'paused')] : []),
    ...(status.jobProblem === undefined
      ? []
      : [output.style('red', `job ${status.jobProblem.reason}`)]),
    ...(status.isStale ? [output.style('yellow', 'stale')] : []),
  ];
  return states.join(', ') || output.style('green', 'ok');
}
